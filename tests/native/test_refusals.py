"""What the C piece refuses instead of doing it wrong."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import gateway
from gateway import native

SOURCE = Path(gateway.__file__).parent / "native" / "_native.c"
CC = shutil.which("cc")

pytestmark = pytest.mark.skipif(not native.IS_BUILT, reason="the C piece is not built here")

ASK = """
import sys
import gateway.native
sys.path.insert(0, sys.argv[1])
import _native
assert not _native.HASHES_FAST
for make in (
    lambda: _native.KeyedHash(b"key"),
    lambda: _native.Keyring().add(b"key", "key", b'"key"', b"key\\0", (b"secret",)),
):
    try:
        make()
    except RuntimeError as error:
        assert "SHA-256" in str(error)
    else:
        raise SystemExit("it signs without hashing")
"""


@pytest.mark.skipif(CC is None, reason="there is no C compiler")
def test_nothing_is_signed_where_nothing_can_be_hashed(tmp_path):
    """On a processor without instructions for SHA-256 every signature would be the same: there is
    no keyed hash to be had, and no app can be added.
    """
    built = tmp_path / f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"
    subprocess.run(
        [
            CC,
            "-shared",
            "-fPIC",
            "-O1",
            "-DGATEWAY_NO_SHA256",
            str(SOURCE),
            "-o",
            str(built),
            f"-I{sysconfig.get_path('include')}",
        ],
        check=True,
    )
    subprocess.run([sys.executable, "-c", ASK, str(tmp_path)], check=True, env=os.environ)


def test_a_class_without_a_slot_is_named():
    """Connections that lack a slot are refused with the slot's name, whichever it is."""

    class Lacking:
        __slots__ = (
            "_receiver",
            "_state",
            "_due",
            "_buffer",
            "_paused",
            "_fresh",
            "_since",
            "_transport",
            "_descriptor",
            "_joined",
        )
        _signed_at = 0.0  # the last of them, and no slot

    with pytest.raises(ImportError, match="Lacking.* has no slot _signed_at"):
        native.receive_by(Lacking, object())
