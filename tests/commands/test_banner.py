"""What a newcomer is told when the gateway has opened its ports."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import config, native
from gateway.commands.banner import announce, banner, send_command
from gateway.options import App, ServerOptions, TlsOptions

SHIPPED = Path(__file__).parents[2] / "config.yaml"


@pytest.fixture
def shipped():
    return config.load(SHIPPED, {})


def told(configuration, path=Path("config.yaml")):
    return banner(configuration, path, public_port=8080, admin_port=8081)


def test_it_names_the_ports_the_data_and_the_first_command(shipped):
    """Where it listens, who takes webhooks, where its data is, and the line that sends a first event."""
    text = told(shipped)
    assert "http://127.0.0.1:8080/webhooks/stream" in text
    assert f"  taken by     {native.told()}" in text.splitlines()
    assert "http://127.0.0.1:8081/metrics" in text
    assert str(shipped.data_dir) in text
    assert text.splitlines()[-1].endswith("gateway send")


def test_it_says_how_many_workers_and_which_part(shipped):
    """Nothing of either in the usual case; of a part alone only what that part has."""
    assert "  workers  " not in told(shipped)
    four = replace(shipped, server=replace(shipped.server, workers=4))
    assert "  workers      4" in told(four).splitlines()
    delivery = banner(
        shipped, Path("config.yaml"), public_port=None, admin_port=8081, only="delivery"
    )
    assert "  runs         delivery alone" in delivery.splitlines()
    for absent in ("webhooks", "taken by", "/demo", "Send a first event"):
        assert absent not in delivery
    ingest = banner(shipped, Path("config.yaml"), public_port=8080, admin_port=8081, only="ingest")
    assert "delivers to" not in ingest


def test_the_demo_page_is_named_where_there_is_one(shipped):
    """Its address while it is on, nothing of it when it or the feed is off."""
    assert "http://127.0.0.1:8080/demo" in told(shipped)
    for feed in (replace(shipped.feed, demo=False), replace(shipped.feed, enabled=False)):
        assert "/demo" not in told(replace(shipped, feed=feed))


def test_the_demo_secret_is_told_as_long_as_it_is_in_use(shipped):
    """A warning with the demo key or secret, none without, and the secret never."""
    assert "change before you expose the port" in told(shipped)
    assert "demo-secret" not in told(shipped)
    own = replace(shipped, apps=(App(api_key="mine", secrets=("of-my-own",)),))
    assert "DEMO" not in told(own)
    assert "of-my-own" not in told(own)


def test_what_strangers_may_do_is_told(shipped):
    """A line for each thing that is open, and for what is switched on and is not; of a part that
    serves neither, nothing.
    """
    assert "  OPEN         /demo: whoever opens it becomes a guest of demo-key" in told(shipped)
    own = replace(shipped, apps=(App(api_key="mine", secrets=("of-my-own",)),))
    assert "  OPEN" not in told(own)
    assert "  NOT OPEN     feed.demo" in told(own)
    guests = replace(own, feed=replace(own.feed, guests=True))
    assert "  OPEN         feed.guests: whoever asks becomes a guest of mine" in told(guests)
    for only, port in (("ingest", 8080), ("delivery", None)):
        text = banner(guests, Path("c.yaml"), public_port=port, admin_port=8081, only=only)
        assert "OPEN" not in text


def test_addresses_can_be_called_from_this_machine(shipped):
    """Listening everywhere, or with TLS, the address is still one to call."""
    everywhere = replace(shipped, server=ServerOptions(host="::"))
    assert "http://127.0.0.1:8080/" in told(everywhere)
    tls = ServerOptions(host="0.0.0.0", tls=TlsOptions(cert=SHIPPED, key=SHIPPED))
    assert "https://127.0.0.1:8080/" in told(replace(shipped, server=tls))


def test_the_first_command_can_be_typed_as_it_is(monkeypatch, tmp_path):
    """By path where `gateway` is not on PATH, with --config where it is not the default."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    monkeypatch.chdir(tmp_path)
    assert send_command(Path("config.yaml")) == ".venv/bin/gateway send"
    assert send_command(Path("a b.yaml")) == ".venv/bin/gateway send --config 'a b.yaml'"
    program = tmp_path / "gateway"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert send_command(Path("config.yaml")) == "gateway send"


def test_json_logs_stay_json(shipped, capsys, caplog):
    """With `log.format: json` what is told is a line of the log, else lines for people."""
    ports = {"public_port": 8080, "admin_port": 8081}
    announce(shipped, SHIPPED, **ports)
    assert "DEMO" in capsys.readouterr().err
    with caplog.at_level("INFO"):
        announce(replace(shipped, log=replace(shipped.log, format="json")), SHIPPED, **ports)
    assert capsys.readouterr().err == ""
    assert caplog.records[0].fields["webhooks"] == "http://127.0.0.1:8080/webhooks/stream"
    assert caplog.records[0].fields["taken_by"] == native.told()
    assert len(caplog.records[0].fields["strangers"]) == 2
