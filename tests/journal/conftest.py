"""Fixtures of the journal's tests."""

import pytest
from journals import SMALL

from gateway.journal.journal import Journal
from gateway.metrics import Metrics


@pytest.fixture
async def opened(tmp_path):
    journals: list[Journal] = []

    def open_it(options=SMALL, disk=None, folder=tmp_path / "journal"):
        journal = Journal(folder, options, Metrics(), disk=disk)
        journals.append(journal)
        return journal

    def end(journal):
        journals.remove(journal)
        journal.close()

    open_it.end = end
    yield open_it
    for journal in journals:
        journal.close()
