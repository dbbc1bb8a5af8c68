"""Where CI=true, a test that is skipped has failed: what it needs was to be installed before.

Elsewhere a test is skipped, with its reason, where what it needs cannot be had.
"""

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _judged((yield))


def _judged(report: Report) -> Report:
    is_expected = hasattr(report, "wasxfail")  # "skipped" to pytest too
    if report.outcome == "skipped" and not is_expected and os.environ.get("CI") == "true":
        told = report.longrepr
        reason = told[2] if isinstance(told, tuple) else told
        report.outcome = "failed"
        report.longrepr = f"Where CI=true nothing is skipped. {reason}"
    return report
