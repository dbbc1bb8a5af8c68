"""A local SQS for a run: a process on the core of load and Valkey, which can be stopped in mid-air."""

import os
import signal
import sys
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from bench.processes import free_port, running, wait_until

REGION = "eu-west-1"
os.environ |= {  # inherited by all contenders
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DEFAULT_REGION": REGION,
}


class LocalSqs:
    def __init__(self, pid: int, endpoint: str) -> None:
        self.pid, self.endpoint = pid, endpoint
        self.client: Any = boto3.client("sqs", region_name=REGION, endpoint_url=endpoint)

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def queue(self, name: str) -> str:
        """Make a queue and return its URL."""
        url: str = self.client.create_queue(QueueName=name)["QueueUrl"]
        return url

    def send(self, url: str, texts: Iterable[str]) -> None:
        batch = []
        for number, text in enumerate(texts):
            batch.append({"Id": str(number % 10), "MessageBody": text})
            if len(batch) == 10:
                self.client.send_message_batch(QueueUrl=url, Entries=batch)
                batch = []
        if batch:
            self.client.send_message_batch(QueueUrl=url, Entries=batch)

    def count(self, url: str) -> int:
        """Return how many messages lie in a queue, received and not deleted included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return sum(int(value) for value in found["Attributes"].values())

    def some_text(self, url: str) -> str:
        (message,) = self.client.receive_message(QueueUrl=url)["Messages"]
        text: str = message["Body"]
        return text


@contextmanager
def local_sqs(folder: Path, *, core: int) -> Iterator[LocalSqs]:
    """Run ministack, which has nothing on disk."""
    folder.mkdir()
    port = free_port()
    os.environ |= {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "SERVICES": "sqs"}
    command = [str(Path(sys.executable).with_name("ministack"))]
    with running(command, core=core, log=folder / "log") as process:
        endpoint = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            with urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=1) as answer:
                return bool(answer.status == 200)

        wait_until(answers, "the local SQS answers", every_s=0.05)
        server = LocalSqs(process.pid, endpoint)
        try:
            yield server
        finally:
            server.thaw()
