"""Fixtures that every test may use. Tests run on uvloop, as the gateway does."""

import logging
import sys
from collections.abc import Callable, Iterator
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
from support.quick import is_quick, kept_quick  # noqa: E402
from support.skips import (  # noqa: E402, F401 - hooks
    pytest_make_collect_report,
    pytest_runtest_makereport,
)
from support.streams import publisher  # noqa: E402, F401 - fixtures

# How long an example takes is the machine's business, which may be busy.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], uvloop.Loop]]:
    return {"uvloop": uvloop.new_event_loop}


def pytest_configure(config: pytest.Config) -> None:
    """No process of a run outlives it, those of xdist included."""
    watchman = ends_with_us()
    config.add_cleanup(lambda: watchman.__exit__(None, None, None))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if is_quick(item):
            item.add_marker(pytest.mark.quick)
    if hasattr(config, "workerinput"):  # of many processes none is left alone with a long one
        items.sort(key=lambda item: item.get_closest_marker("quick") is not None)


@pytest.fixture(autouse=True)
def quick_tests_stay_quick(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test of `make quick` that starts a process or reaches a socket fails."""
    if request.node.get_closest_marker("quick") is None:
        yield
    else:
        with kept_quick():
            yield


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """What a test sets up for logging ends with it."""
    loggers = [logging.getLogger(name) for name in (None, "gateway", "aiohttp.access")]
    before = [(one, one.level, list(one.handlers)) for one in loggers]
    yield
    for one, level, handlers in before:
        one.setLevel(level)
        one.handlers[:] = handlers


@pytest.fixture(autouse=True)
def no_secret_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No log line of any test holds a secret that tests configure."""
    yield
    for secret in ("demo-secret", "second-secret", "hidden-token", "hush-hush"):
        assert secret not in caplog.text
