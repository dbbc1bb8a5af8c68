"""What the C piece refuses instead of doing it wrong."""

import pytest

from gateway import native

pytestmark = pytest.mark.skipif(not native.IS_BUILT, reason="the C piece is not built here")


def test_a_class_without_a_slot_is_named():
    """Connections that lack a slot are refused with the slot's name, whichever it is."""

    class Lacking:
        __slots__ = (
            "_receiver",
            "_state",
            "_due",
            "_buffer",
            "_paused",
            "_fresh",
            "_since",
            "_transport",
            "_descriptor",
            "_joined",
        )
        _signed_at = 0.0  # the last of them, and no slot

    with pytest.raises(ImportError, match="Lacking.* has no slot _signed_at"):
        native.receive_by(Lacking, object())
