"""`gateway send` against a real receiver."""

import pytest
from support.commands import run, write_config
from support.receiver import running_receiver, status
from support.webhooks import API_KEY, SECRET

from gateway.commands.send import target
from gateway.errors import GatewayError
from gateway.sending.webhook import sign


async def test_no_configuration_is_needed_with_url_and_secret(tmp_path):
    """The key may be left out, then there is no X-API-KEY."""
    nothing = ("--config", tmp_path / "none.yaml")
    async with running_receiver() as receiver:
        result = await run("send", *nothing, "--url", receiver.url, "--secret", "s", "--count", 3)
        assert result.exit_code == 0
        assert result.stdout.startswith("3 requests")
        assert "x-api-key" not in receiver.requests[0].headers
        for request in receiver.requests:
            assert request.headers["x-signature"] == sign(request.body, "s")


async def test_the_secret_may_be_in_a_file_or_in_the_environment(tmp_path):
    """So that it need not stand in the process list."""
    file = tmp_path / "secret"
    file.write_text("from-file\n")
    common = ("send", "--key", "k", "--type", "call.created", "--count", 1)
    async with running_receiver() as receiver:
        await run(*common, "--url", receiver.url, "--secret-file", file)
        await run(*common, "--url", receiver.url, env={"GATEWAY_SEND_SECRET": "from-environment"})
        for request, secret in zip(
            receiver.requests, ("from-file", "from-environment"), strict=True
        ):
            assert request.headers["x-signature"] == sign(request.body, secret)
            assert request.headers["x-api-key"] == "k"


async def test_key_and_secret_come_from_the_configuration(tmp_path):
    """Without options the first app of the configuration sends, also files of one's own."""
    body = tmp_path / "own.json"
    body.write_bytes(b'{"type":"mine"}')
    async with running_receiver() as receiver:
        path = write_config(tmp_path, more="admin: {port: 0}")
        result = await run("send", body, "--file", body, "--config", path, "--url", receiver.url)
        assert result.exit_code == 0
        assert [request.body for request in receiver.requests] == [body.read_bytes()] * 2
        headers = receiver.requests[0].headers
        assert (headers["x-api-key"], headers["x-signature"]) == (
            API_KEY,
            sign(body.read_bytes(), SECRET),
        )


async def test_an_answer_that_is_no_2xx_ends_with_1():
    """The summary names the status."""
    async with running_receiver(otherwise=status(401)) as receiver:
        result = await run("send", "--url", receiver.url, "--secret", "s", "--count", 2)
    assert result.exit_code == 1
    assert "401" in result.stdout


async def test_mistakes_are_told(tmp_path):
    """No sample of the type, no file, nobody there."""
    where = ("--url", "http://127.0.0.1:1/", "--secret", "s")
    assert "there are" in (await run("send", *where, "--type", "nonsense")).stderr
    assert (await run("send", *where, tmp_path / "none.json")).exit_code == 2
    result = await run("send", *where)
    assert result.exit_code == 1
    assert "nothing listens" in result.stderr


def test_the_target_is_filled_in_from_the_configuration(tmp_path):
    """Address, key and secret, each only when it is not given; an unknown key is told."""
    path = write_config(tmp_path, more="server: {host: 0.0.0.0, port: 8123}")
    own = ("http://127.0.0.1:8123/webhooks/stream", "demo-key", "demo-secret")
    assert target(path, None, None, None) == own
    assert target(path, None, "demo-key", "s") == (own[0], "demo-key", "s")
    assert target(path, None, "other", "s") == (own[0], "other", "s")
    with pytest.raises(GatewayError, match="there are: demo-key"):
        target(path, None, "other", None)
    anywhere = write_config(tmp_path, more="server: {port: 0}")
    with pytest.raises(GatewayError, match="give --url"):
        target(anywhere, None, None, None)
