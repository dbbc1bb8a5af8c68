"""Credentials from everywhere: files, the environment, the metadata of a container."""

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from support.eventually import eventually
from support.receiver import running_receiver, status

from gateway.aws.credentials import CredentialSource, NoCredentials
from gateway.aws.signing import Credentials


async def test_from_the_environment(aws_environment):
    """Keys in the environment are used as they are."""
    assert await CredentialSource("eu-west-1").current() == Credentials("AKIATEST", "hush-hush")


async def test_from_a_shared_file_that_is_replaced(aws_environment, monkeypatch, tmp_path):
    """Keys that AWS refused are read again: somebody may have put new ones there."""
    file = tmp_path / "credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "gateway")
    file.write_text("[gateway]\naws_access_key_id = A1\naws_secret_access_key = hush-hush\n")
    monkeypatch.setattr("gateway.aws.credentials._LOOK_AGAIN_S", 0.0)
    source = CredentialSource("eu-west-1")
    old = await source.current()
    file.write_text("[gateway]\naws_access_key_id = A2\naws_secret_access_key = hush-hush\n")
    assert (await source.current()).access_key == old.access_key == "A1"
    source.distrust(old)
    assert (await source.current()).access_key == "A2"
    source.distrust(old)  # no longer those in use
    assert (await source.current()).access_key == "A2"


async def test_from_the_metadata_of_a_container(aws_environment, monkeypatch):
    """Keys that expire come from the container's own address, with their token."""
    answer = {
        "AccessKeyId": "A3",
        "SecretAccessKey": "hush-hush",
        "Token": "hidden-token",
        "Expiration": f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
    }
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    async with running_receiver(otherwise=status(200, body=json.dumps(answer).encode())) as host:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", host.url)
        found = await CredentialSource("eu-west-1").current()
    assert found == Credentials("A3", "hush-hush", "hidden-token")


async def test_from_the_metadata_of_an_instance(aws_environment, monkeypatch):
    """The role of a machine is found by the second version of its metadata service."""
    answer = {
        "Code": "Success",
        "Type": "AWS-HMAC",
        "AccessKeyId": "A5",
        "SecretAccessKey": "hush-hush",
        "Token": "hidden-token",
        "LastUpdated": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "Expiration": f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
    }

    def metadata(request):
        if request.method == "PUT":
            return status(200, body=b"a token")
        assert request.headers["x-aws-ec2-metadata-token"] == "a token"
        is_list = request.path.endswith("security-credentials/")
        return status(200, body=b"a-role" if is_list else json.dumps(answer).encode())

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_SERVICE_TIMEOUT", "60")  # of a second, otherwise
    async with running_receiver() as machine:
        machine.script = metadata
        origin = f"http://127.0.0.1:{machine.port}"
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", origin)
        found = await CredentialSource("eu-west-1").current()
    assert found == Credentials("A5", "hush-hush", "hidden-token")


async def test_from_a_web_identity(aws_environment, monkeypatch, tmp_path):
    """A token in a file, as Kubernetes puts it there, is exchanged for keys of a role."""
    ends = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    answer = f"""<AssumeRoleWithWebIdentityResponse
      xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
      <Credentials><AccessKeyId>A6</AccessKeyId><SecretAccessKey>hush-hush</SecretAccessKey>
      <SessionToken>hidden-token</SessionToken><Expiration>{ends}</Expiration></Credentials>
      </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
    file = tmp_path / "token"
    file.write_text("a-web-token")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(file))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/gateway")
    async with running_receiver(otherwise=status(200, body=answer.encode())) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{sts.port}")
        found = await CredentialSource("eu-west-1").current()
    assert found == Credentials("A6", "hush-hush", "hidden-token")
    assert b"WebIdentityToken=a-web-token" in sts.bodies[0]


async def test_none_at_all(aws_environment, monkeypatch):
    """Without any it is told that there are none, and they are looked for again."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    source = CredentialSource("eu-west-1")
    with pytest.raises(NoCredentials, match="no AWS credentials were found"):
        await source.current()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A4")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    assert (await source.current()).access_key == "A4"


async def test_what_cannot_be_read_is_told_without_it(aws_environment, monkeypatch, tmp_path):
    """A broken file is a failure that quotes nothing of it."""
    file = tmp_path / "credentials"
    file.write_text("hush-hush\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    with pytest.raises(NoCredentials) as raised:
        await CredentialSource("eu-west-1").current()
    assert "hush-hush" not in str(raised.value)
    assert raised.value.__suppress_context__


class Told:
    """A process that tells credentials, once each for which something is put into `say`."""

    def __init__(self, folder):
        self._fifo, self._begun = folder / "fifo", folder / "begun"
        os.mkfifo(self._fifo)
        self.command = f"sh -c 'echo >> {self._begun}; cat {self._fifo}'"

    @property
    def begun(self):
        return len(self._begun.read_text()) if self._begun.exists() else 0

    async def say(self, key, *, minutes=60):
        """Those with less than 15 minutes left are renewed at once, while they are good still."""
        ends = f"{datetime.now(UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"
        answer = {"Version": 1, "AccessKeyId": key, "SecretAccessKey": "x", "Expiration": ends}
        await asyncio.to_thread(self._fifo.write_text, json.dumps(answer))


@pytest.fixture
def told(aws_environment, monkeypatch, tmp_path):
    found = Told(tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    file = tmp_path / "config"
    file.write_text(f"[default]\ncredential_process = {found.command}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    monkeypatch.setattr("gateway.aws.credentials._FRESH_S", 0.0)
    return found


async def test_who_tells_them_late_is_asked_once(told):
    """All who wait share one look, which goes on when they have given up."""
    source = CredentialSource("eu-west-1")
    waiting = [asyncio.create_task(source.current()) for _ in range(20)]
    await eventually(lambda: told.begun)
    for one in waiting[1:]:
        one.cancel()
    await asyncio.wait(waiting[1:])
    last = asyncio.create_task(source.current())
    await told.say("A7")
    assert (await waiting[0]).access_key == (await last).access_key == "A7"
    assert told.begun == 1


async def test_while_a_renewal_hangs_those_that_are_good_are_used(told):
    """Nobody waits for the end of it, and what it brings is used then."""
    source = CredentialSource("eu-west-1")
    first = asyncio.create_task(source.current())
    for number in (1, 2):
        await eventually(lambda number=number: told.begun == number)
        await told.say("A8", minutes=12)
    assert (await first).access_key == "A8"
    for _ in range(2):
        assert (await source.current()).access_key == "A8"
    assert told.begun == 3
    await told.say("A9")

    async def is_renewed():
        return (await source.current()).access_key == "A9"

    await eventually(is_renewed)
