"""From a configuration that was read to a gateway that serves, in no more memory than that takes.

What reads a configuration is 12 MB of packages that nobody needs afterwards. So `gateway run`
executes itself once more, by the same command line and under the same pid, and finds what was
read in a file that only memory holds. Where there are no such files it goes on as it is.
"""

import os
import pickle
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gateway.commands.startup import HANDED, keep_for_later
from gateway.options import Config

if TYPE_CHECKING:
    from gateway.app import Name


class ServeOrder(NamedTuple):
    """What to serve. `only`: a part, alone."""

    config: Config
    config_path: Path
    only: "Name | None"


def hand_over(order: ServeOrder) -> None:
    """Have a fresh program take `order`, in place of this one. Returns where that cannot be.

    For `gateway.__main__` alone: it is what the same command line runs again.
    """
    if not hasattr(os, "memfd_create") or not sys.executable:
        return
    with suppress(OSError):  # whatever this system forbids: then in this program
        handed = os.memfd_create("gateway", 0)  # no MFD_CLOEXEC: it is for the next program
        with os.fdopen(handed, "wb") as file:
            pickle.dump(order, file)
            file.flush()
            os.environ[HANDED] = str(handed)
            keep_for_later(is_over=False)
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606
    keep_for_later(is_over=True)
    os.environ.pop(HANDED, None)


def handed_over() -> ServeOrder:
    """Return the order that this program was started for."""
    with os.fdopen(int(os.environ.pop(HANDED)), "rb") as file:
        file.seek(0)
        order: ServeOrder = pickle.load(file)  # noqa: S301  # by the program that this one was
    return order
