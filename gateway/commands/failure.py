"""How a failure is told on the command line: in a few words, with its exit code."""

from gateway.errors import ConfigError, EngineFull, EngineUnavailable, GatewayError


def of(error: GatewayError) -> tuple[str, int]:
    """Return the text and the exit code that a command ends with because of `error`."""
    if isinstance(error, ConfigError):
        return str(error), 2  # every mistake in the configuration, a line each
    if isinstance(error, EngineUnavailable) and not isinstance(error, EngineFull):
        return f"gateway: Redis is away: {error}", 1
    return f"gateway: {error}", 1
