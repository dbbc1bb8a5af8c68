"""What is slow and must still hold is marked `hard`: `make test-hard` runs it, `make test` does not.

Of a test that comes in several cases one is enough for every day.
"""

from typing import Any

import pytest


def first(value: object, *others: object) -> list[Any]:
    """Cases for `parametrize`: all but the first of them are hard."""
    return [value, *(pytest.param(other, marks=pytest.mark.hard) for other in others)]
