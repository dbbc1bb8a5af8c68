"""A local SQS in a process of its own, and boto3 as a second opinion on what lies in its queues."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from support.ports import free_port

REGION = "eu-west-1"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIATEST",
    "AWS_SECRET_ACCESS_KEY": "hush-hush",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


class LocalSqs:
    """The server. `freeze` and `thaw` stop its process in mid-air."""

    def __init__(self, process: subprocess.Popen[bytes], endpoint: str) -> None:
        self.endpoint, self._process = endpoint, process
        self.client = boto3.client(
            "sqs",
            region_name=REGION,
            endpoint_url=endpoint,
            aws_access_key_id="AKIATEST",
            aws_secret_access_key="hush-hush",
            config=Config(retries={"max_attempts": 0}, max_pool_connections=2),
        )

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def queue(self, *, name: str = "", fifo: bool = False, **attributes: object) -> "LocalQueue":
        """A new queue, named as no other."""
        name = name or f"q-{uuid4().hex}{'.fifo' if fifo else ''}"
        given = {key: str(value) for key, value in attributes.items()}
        if fifo:
            given["FifoQueue"] = "true"
        url = self.client.create_queue(QueueName=name, Attributes=given)["QueueUrl"]
        return LocalQueue(self, url)


class LocalQueue:
    """One queue, asked through boto3."""

    def __init__(self, sqs: LocalSqs, url: str) -> None:
        self.url, self._client, self._sqs = url, sqs.client, sqs
        self.config = {"queue_url": url, "region": REGION, "endpoint": sqs.endpoint}

    def arn(self) -> str:
        answer = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        return str(answer["Attributes"]["QueueArn"])

    def send(self, *bodies: str, **fields: object) -> None:
        """Send in tens; `fields` may be functions of the body."""
        for start in range(0, len(bodies), 10):
            entries = [
                {"Id": str(number), "MessageBody": body}
                | {name: it(body) if callable(it) else it for name, it in fields.items()}
                for number, body in enumerate(bodies[start : start + 10])
            ]
            answer = self._client.send_message_batch(QueueUrl=self.url, Entries=entries)
            assert not answer.get("Failed"), answer

    def receive(self, count: int = 10, **more: object) -> list[dict[str, Any]]:
        """What can be received now, without waiting, deleting nothing."""
        answer: dict[str, list[dict[str, Any]]] = self._client.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=count,
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
            **more,
        )
        return answer.get("Messages", [])

    def drain(self) -> list[dict[str, Any]]:
        """Receive and delete until nothing more comes."""
        taken: list[dict[str, Any]] = []
        while messages := self.receive():
            taken += messages
            entries = [
                {"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)
            ]
            self._client.delete_message_batch(QueueUrl=self.url, Entries=entries)
        return taken

    def counts(self) -> tuple[int, int]:
        """How many messages can be received, and how many are invisible."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        visible, invisible = (int(found["Attributes"][name]) for name in names)
        return visible, invisible


@pytest.fixture(scope="session")
def local_sqs_server() -> Iterator[LocalSqs]:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="gw-sqs-") as folder:
        log = Path(folder) / "log"
        environment = {
            **os.environ,
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "SERVICES": "sqs",
            "LOG_LEVEL": "WARNING",
            "TMPDIR": folder,
            **ENVIRONMENT,
        }
        with log.open("ab") as out:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name("ministack"))],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        try:
            deadline = time.monotonic() + 60
            while not _answers(endpoint):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            server = LocalSqs(process, endpoint)
            yield server
            server.client.close()
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials from the environment, and from nowhere else."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, text in ENVIRONMENT.items():
        monkeypatch.setenv(name, text)


@pytest.fixture
def local_sqs(local_sqs_server: LocalSqs, aws_environment: None) -> Iterator[LocalSqs]:
    """A local SQS, and the credentials for it in the environment."""
    yield local_sqs_server
    local_sqs_server.thaw()
