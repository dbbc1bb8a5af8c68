"""The exceptions, by whose fault it is.

A refused request or a failed delivery is no exception but a value (`ingest.answers`,
`subscribers.outcome`): both are expected, counted and decided upon.
"""


class GatewayError(Exception):
    """Everything the gateway raises on purpose."""


class ConfigError(GatewayError):
    """The configuration is wrong; the text has one `file:line:col: ...` line per mistake."""


class EngineUnavailable(GatewayError):
    """Redis cannot take or give anything now: away, loading, full or read-only. Passing."""


class EngineUnanswered(EngineUnavailable):
    """The same, and whether it has run is not known."""


class EngineFull(EngineUnavailable):
    """Redis takes no more before somebody has made room; what was asked has not been done."""


class EngineRefused(GatewayError):
    """Redis answered with an error that waiting will not heal: a defect or a foreign engine."""


class Fenced(GatewayError):
    """Somebody else holds the lease of this shard now: settle nothing, start nothing."""


class JournalFull(GatewayError):
    """The journal has reached its bound in bytes: answer 503."""


class JournalForeign(GatewayError):
    """A file of the journal is of a format that this version does not know: refuse to start."""


class JournalTaken(GatewayError):
    """Somebody else has opened the journal's folder: nothing is written there any more."""


class JournalFailed(GatewayError):
    """The disk refused a write (ENOSPC, EIO): the ack must go through Redis."""


class EmbeddedEngineError(GatewayError):
    """The embedded Valkey cannot be found, locked or started; the text says what to do."""
