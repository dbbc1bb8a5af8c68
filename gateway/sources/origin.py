"""Whose events a source brings, and how they are told from others."""

from typing import NamedTuple

from gateway.ingest.signature import Verifier
from gateway.options import App


class Origin(NamedTuple):
    """`name` is the source's; a body may have `max_bytes` when it is inflated."""

    name: str
    app: App
    verifier: Verifier
    max_bytes: int
