"""Which requests the admin listener refuses."""

import pytest

from gateway.admin.guard import refusal

FOREIGN_HOST, FOREIGN_ORIGIN = "foreign Host", "foreign Origin"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8081",
        "127.9.9.9:1",
        "[::1]:8081",
        "[::1]",
        "localhost:99",
        "LOCALHOST",
        "gateway.internal:8081",
        "Gateway.Internal",
    ],
)
def test_our_own_names_are_welcome(host):
    """Loopback addresses, localhost and the configured host, on any port."""
    assert refusal([host], [], own_host="gateway.internal") is None


@pytest.mark.parametrize(
    "hosts",
    [
        ["evil.example"],
        ["evil.example:8081"],
        ["127.0.0.1.evil.example"],
        ["10.0.0.1"],
        [],
        ["127.0.0.1", "127.0.0.1"],
        [""],
        ["x@127.0.0.1"],
        ["127.0.0.1/x"],
        ["127.0.0.1:x"],
        ["[::1"],
        ["0.0.0.0"],
        ["2130706433"],
        ["localhost.evil.example"],
        ["127.0.0.1:1?"],
    ],
)
def test_foreign_names_are_refused(hosts):
    """Whatever a rebound or forged Host says."""
    assert refusal(hosts, [], own_host="127.0.0.1") == FOREIGN_HOST


def test_listening_everywhere_every_address_is_ours_but_no_name():
    """A name can be rebound, an address cannot."""
    for own in ("0.0.0.0", "::"):
        assert refusal(["10.0.0.1:8081"], [], own_host=own) is None
        assert refusal(["evil.example"], [], own_host=own) == FOREIGN_HOST
    assert refusal(["10.0.0.1"], [], own_host="10.0.0.1") is None
    assert refusal(["10.0.0.2"], [], own_host="10.0.0.1") == FOREIGN_HOST


def test_only_our_own_pages_may_ask():
    """An Origin is absent or the very address that is asked."""

    def asked(*origins):
        return refusal(["127.0.0.1:8081"], origins, own_host="127.0.0.1")

    assert asked() is None
    assert asked("http://127.0.0.1:8081") is None
    for foreign in (
        "http://evil.example",
        "null",
        "http://127.0.0.1:9",
        "https://127.0.0.1:8081",
        "",
    ):
        assert asked(foreign) == FOREIGN_ORIGIN
    assert asked("http://127.0.0.1:8081", "http://evil.example") == FOREIGN_ORIGIN
