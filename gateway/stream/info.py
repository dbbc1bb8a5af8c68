"""INFO: what a server says of itself. Pure."""


def read_info(reply: bytes) -> dict[str, str]:
    """Return the fields of a reply to INFO, as text."""
    lines = reply.decode(errors="replace").splitlines()
    pairs = (line.partition(":") for line in lines if not line.startswith("#"))
    return {name: value for name, colon, value in pairs if colon}
