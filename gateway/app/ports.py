"""What is open."""

from typing import NamedTuple


class Ports(NamedTuple):
    """`public_port` None: nothing is taken here."""

    public_port: int | None
    admin_port: int
