"""What is left out for who measures is left out, and nothing else."""

import os
import subprocess
import sys

import pytest

from gateway import native

SHOWN = """
from gateway import native
print(native.IS_BUILT, native.relay is None, native.publish is None, native.told(), sep="|")
"""

pytestmark = pytest.mark.skipif(not native.IS_BUILT, reason="the C piece is not built here")


@pytest.mark.parametrize(
    ("wanted", "left_out"),
    [
        ("1", ["True", "False", "False"]),
        ("0", ["False", "True", "True"]),
        ("-relay", ["True", "True", "False"]),
        ("-receive_by,-publish,-answer", ["True", "False", "True"]),
        ("portable", ["True", "False", "False"]),
    ],
)
def test_what_is_named_is_left_out(wanted, left_out):
    """GATEWAY_NATIVE names what Python does instead of the C piece, or that hashing is portable."""
    done = subprocess.run(
        [sys.executable, "-c", SHOWN],
        env={**os.environ, "GATEWAY_NATIVE": wanted},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    *parts, told = done.stdout.strip().split("|")
    assert parts == left_out
    if wanted in {"0", "portable"}:
        assert ("portable C" in told) is (wanted == "portable")
