"""Sending webhooks as Stream sends them: for a first event, for load, and for tests.

    plan       what to send, where and how fast
    bodies     the samples
    webhook    one of them, made fresh and signed
    sender     sends them and measures
    progress   a bar for people, while it takes long
    summary    what came of it

It shares no code with the receiving side, so that a mistake in one is not hidden by the same
mistake in the other.
"""

from gateway.sending.plan import NothingToSend, SendPlan
from gateway.sending.sender import NothingListens, send
from gateway.sending.summary import Summary, render

__all__ = ["NothingListens", "NothingToSend", "SendPlan", "Summary", "render", "send"]
