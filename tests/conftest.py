"""Fixtures that every test may use. Tests run on uvloop, as the gateway does."""

import logging
import sys
from pathlib import Path

import hypothesis
import pytest
import uvloop

sys.path.insert(0, str(Path(__file__).parent))  # `from support.eventually import ...`

from support.engines import engine, engine_socket, engine_url, redis  # noqa: E402, F401 - fixtures
from support.left_over import ends_with_us  # noqa: E402
from support.local_aws import (  # noqa: E402, F401 - fixtures
    aws_environment,
    local_sqs,
    local_sqs_server,
)
from support.streams import publisher  # noqa: E402, F401 - fixtures

# How long an example takes is the machine's business, which may be busy.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_over():
    """No process that a test starts outlives the run."""
    with ends_with_us():
        yield


@pytest.fixture(autouse=True)
def logging_as_it_was():
    """What a test sets up for logging ends with it."""
    loggers = [logging.getLogger(name) for name in (None, "gateway", "aiohttp.access")]
    before = [(one, one.level, list(one.handlers)) for one in loggers]
    yield
    for one, level, handlers in before:
        one.setLevel(level)
        one.handlers[:] = handlers


@pytest.fixture(autouse=True)
def no_secret_in_the_log(caplog):
    """No log line of any test holds a secret that tests configure."""
    yield
    for secret in ("demo-secret", "second-secret", "hidden-token", "hush-hush"):
        assert secret not in caplog.text
