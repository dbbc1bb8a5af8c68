"""INFO: what a server says of itself. Pure."""

from collections.abc import Mapping


def read_info(reply: bytes) -> dict[str, str]:
    """Return the fields of a reply to INFO, as text."""
    lines = reply.decode(errors="replace").splitlines()
    pairs = (line.partition(":") for line in lines if not line.startswith("#"))
    return {name: value for name, colon, value in pairs if colon}


def number(fields: Mapping[str, str], name: str) -> int:
    """Return a field as a whole number, 0 where it is missing or none: not every server that
    speaks the protocol says there what Redis says.
    """
    text = fields.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
