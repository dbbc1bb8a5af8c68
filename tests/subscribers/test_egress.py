"""Which addresses are called, shown at the socket."""

import socket

import pytest
from attempts import DEMO, attempt
from support.receiver import running_receiver

from gateway.options import HttpOptions, SubscriberOptions
from gateway.subscribers.egress import Egress
from gateway.subscribers.kinds import build
from gateway.subscribers.outcome import Delivered, Reason


async def outcome_of(url, *allow_networks):
    http = HttpOptions(url=url, allow_networks=allow_networks)
    subscriber = build(SubscriberOptions(name="s", kind="http", http=http), (DEMO,))
    try:
        return await subscriber.attempt(attempt())
    finally:
        await subscriber.close()


FORBIDDEN = [
    "169.254.169.254",
    "169.254.1.1",
    "fe80::1",
    "fe80::1%lo",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "64:ff9b::a9fe:a9fe",
    "::169.254.169.254",
    "::ffff:100.100.100.200",
    "64:ff9b:1::a9fe:a9fe",
    "64:ff9b:1:a9fe:a9:fe00::",
    "64:ff9b:1:a9:fe:a9fe::",
    "64:ff9b:1:0:a9:fea9:fe00:0",
    "64:ff9b:1::100.100.100.200",
    "::ffff:0:169.254.169.254",
    "2002:a9fe:a9fe::",
    "2002:a83f:8110::1",
    "2001:0:a9fe:a9fe::1",
    "2001:0:1:1:1:1:5601:5601",
    "2001:db8::5efe:169.254.169.254",
    "fd12::200:5efe:169.254.0.1",
    "fd00:42::42",
    "fd00:c1::a9fe:a9fe",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_metadata_and_link_local_are_always_refused(address):
    """No list allows link-local or metadata addresses, in whatever form they come."""
    assert not Egress().allows_address(address)
    assert not Egress(["0.0.0.0/0", "::/0"]).allows_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "10.0.0.1",
        "203.0.113.9",
        "fd12::1",
        "2002:cb00:7109::1",
        "64:ff9b:1::203.0.113.9",
        "::ffff:0:203.0.113.9",
        "2001:db8::5efe:203.0.113.9",
    ],
)
def test_other_addresses_are_allowed_without_a_list(address):
    """Without a list, private addresses too: subscribers live there."""
    assert Egress().allows_address(address)


def test_a_list_allows_only_its_networks():
    """With a list, everything outside of it is refused, mapped forms included."""
    egress = Egress(["10.0.0.0/8", "fd12::/16"])
    assert egress.allows_address("10.1.2.3")
    assert egress.allows_address("::ffff:10.1.2.3")
    assert egress.allows_address("fd12::7")
    assert not egress.allows_address("11.0.0.1")
    assert not egress.allows_address("::1")


def test_a_network_that_is_none_is_refused():
    """A network with host bits or without sense raises ValueError."""
    with pytest.raises(ValueError):
        Egress(["10.0.0.1/8"])


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:169.254.169.254]/",
        "http://[fd00:ec2::254]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://[64:ff9b:1::a9fe:a9fe]/latest/meta-data",
        "http://metadata.google.internal/computeMetadata",
        "http://METADATA.google.internal./",
    ],
)
async def test_a_forbidden_url_is_an_egress_failure(url):
    """An address literal, which no resolver sees, is refused like a name."""
    assert (await outcome_of(url)).reason is Reason.EGRESS


async def test_the_list_holds_at_the_socket():
    """A receiver outside of the allowed networks gets no connection; inside, its events."""
    async with running_receiver() as receiver:
        assert (await outcome_of(receiver.url, "10.0.0.0/8")).reason is Reason.EGRESS
        assert receiver.connections == 0
        assert await outcome_of(receiver.url, "127.0.0.0/8") == Delivered(200)


async def test_a_name_is_judged_by_its_address():
    """A name that resolves to loopback is refused where loopback is not allowed."""
    async with running_receiver() as receiver:
        url = receiver.url.replace("127.0.0.1", "localhost")
        assert (await outcome_of(url, "10.0.0.0/8")).reason is Reason.EGRESS
        assert receiver.connections == 0


def test_an_allowed_address_gets_a_socket():
    """The socket has the family and type that were asked for."""
    family, kind = socket.AF_INET, socket.SOCK_STREAM
    with Egress().open_socket((family, kind, 6, "", ("127.0.0.1", 1))) as opened:
        assert (opened.family, opened.type) == (family, kind)
