"""Sending webhooks as Stream sends them: for a first event, for load, and for tests.

`bodies` holds samples of every kind, `webhook` makes each one fresh and signs it, `sender`
sends them and measures, `summary` says what came of it. It shares no code with the receiving
side, so that a mistake in one is not hidden by the same mistake in the other.
"""

from gateway.sending.plan import NothingToSend, SendPlan
from gateway.sending.sender import NothingListens, send
from gateway.sending.summary import Summary, render

__all__ = ["NothingListens", "NothingToSend", "SendPlan", "Summary", "render", "send"]
