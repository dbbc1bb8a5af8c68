"""Which addresses a subscriber may be called at, decided where the socket is made.

The dialer asks for a socket with the final address in hand, after every name was resolved
and for literals that no resolver sees. So a name that resolves to a forbidden address, now or
only the second time, gets no connection. Link-local and metadata addresses are always refused,
in every form that reaches them; with an allow-list only its networks pass.
"""

import errno
import socket
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from aiohappyeyeballs import AddrInfoType

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NEVER: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "169.254.0.0/16",  # link-local; AWS, GCP, Azure and others: 169.254.169.254
        "fe80::/10",
        "fd00:ec2::/32",  # AWS over IPv6
        "fd20:ce::254/128",  # GCP over IPv6
        "fd00:42::42/128",  # Scaleway over IPv6
        "fd00:c1::a9fe:a9fe/128",  # Oracle over IPv6
        "100.100.100.200/32",  # Alibaba
        "192.0.0.192/32",  # Oracle
        "168.63.129.16/32",  # Azure's wire server
    )
)
_NEVER_NAMES = frozenset(
    {
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "instance-data",
        "instance-data.ec2.internal",
    }
)
# IPv6 networks whose last 32 bits are an IPv4 address: NAT64, and the old "compatible" form.
_CARRY_IPV4 = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
# Where a router of one kind or another may lie behind which an IPv6 address leads to an IPv4 one:
# by network, how many bits are right of the IPv4 address. NAT64 for local use leaves the place to
# whoever runs it, and puts eight zero bits into the middle of some (RFC 8215, RFC 6052).
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_ROUTED_TO_IPV4 = (
    (IPv6Network("2002::/16"), 80),  # 6to4
    (IPv6Network("2001::/32"), 64),  # Teredo's server
    (IPv6Network("::ffff:0:0:0/96"), 0),  # "translated", SIIT
    (_NAT64_LOCAL, 0),
)
_TEREDO = IPv6Network("2001::/32")
_ISATAP = (0x00005EFE, 0x02005EFE)  # of any network: the 32 bits before the IPv4 address
_IPV4_BITS = 0xFFFFFFFF


class EgressRefused(OSError):
    """The address is one that we refuse to call. An OSError, as the dialer expects."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "the address is not allowed for subscribers")


def plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 form stands for, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if any(address in network for network in _CARRY_IPV4) and int(address) > 1:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return IPv6Address(int(address))  # without its scope


def led_to(address: Address) -> Iterator[Address]:
    """Yield the address, and every IPv4 address to which some router may lead it."""
    yield address
    if isinstance(address, IPv4Address):
        return
    bits = int(address)
    for network, right in _ROUTED_TO_IPV4:
        if address in network:
            yield IPv4Address(bits >> right & _IPV4_BITS)
    if address in _TEREDO:
        yield IPv4Address(~bits & _IPV4_BITS)  # its client
    if bits >> 32 & _IPV4_BITS in _ISATAP:
        yield IPv4Address(bits & _IPV4_BITS)
    if address in _NAT64_LOCAL:
        for before in (16, 8, 0):  # bits of it that stand left of the zeros at 64 to 71
            left = bits >> 64 & (1 << before) - 1
            right_bits = 32 - before
            right = bits >> 56 - right_bits & (1 << right_bits) - 1
            yield IPv4Address(left << right_bits | right)


class Egress:
    """The rule of one subscriber. Raises ValueError for a network that is none."""

    def __init__(self, allow_networks: Iterable[str] = ()) -> None:
        self._allowed = tuple(ip_network(text) for text in allow_networks)

    def allows_name(self, host: str) -> bool:
        """Tell whether a URL's host may be looked up at all."""
        return host.rstrip(".").lower() not in _NEVER_NAMES

    def allows_address(self, text: str) -> bool:
        """Tell whether a socket may be opened to this IP address."""
        address = plain(ip_address(text))
        if any(one in network for one in led_to(address) for network in _NEVER):
            return False
        return not self._allowed or any(address in network for network in self._allowed)

    def open_socket(self, address_info: AddrInfoType) -> socket.socket:
        """Make the socket for one address; raises EgressRefused for a forbidden one."""
        family, kind, protocol, _, address = address_info
        if not self.allows_address(address[0]):
            raise EgressRefused
        return socket.socket(family=family, type=kind, proto=protocol)
