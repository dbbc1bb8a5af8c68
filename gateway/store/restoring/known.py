"""What is known of subscribers, kept beside the journal: their names, how they stand, and in which
lives of the shards that was so.

It outlives Redis: after a loss it says who is to have groups again. It is a witness and nothing
more, so a disk that refuses the file costs only that, and a damaged file is none.
"""

import logging
import os
from pathlib import Path

import msgspec

from gateway.logs import log
from gateway.open_files import kept
from gateway.store.taking.subscriptions import Subscription

_logger = logging.getLogger(__name__)
_NAME = "subscribers.known"


class KnownSubscribers(msgspec.Struct, frozen=True):
    """`lives`: of all shards, as `lives` has them; `seen_ms`: Unix ms, by Redis' clock, at which
    it was so.
    """

    lives: tuple[str, ...]
    seen_ms: int
    subscribers: dict[str, Subscription]


class KnownSubscribersFile:
    """In `data_dir`; written by several workers, of which this one has `number`."""

    def __init__(self, data_dir: Path, number: int = 0) -> None:
        self._path = data_dir / _NAME
        self._new = data_dir / f"{_NAME}.{number}"
        self._is_refused = False

    def read(self) -> KnownSubscribers | None:
        """Return what is kept; None when that is nothing, or cannot be read. Never raises."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=KnownSubscribers)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            log(
                _logger,
                logging.WARNING,
                "what was known of subscribers cannot be read; after a"
                " loss of Redis those of the configuration are known",
                path=str(self._path),
                error=str(error),
            )
            return None

    def write(self, known: KnownSubscribers) -> None:
        """Keep `known` in place of what was kept, all of it or nothing. Never raises."""
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            fd = kept.opened(lambda: os.open(self._new, flags, 0o600))
            with os.fdopen(fd, "wb") as file:
                file.write(msgspec.json.encode(known))
                file.flush()
                os.fsync(file.fileno())
            self._new.replace(self._path)
        except OSError as error:
            self._told(error)
        else:
            self._told(None)

    def _told(self, error: OSError | None) -> None:
        if self._is_refused == (error is not None):
            return
        self._is_refused = error is not None
        if error is not None:
            log(
                _logger,
                logging.WARNING,
                "what is known of subscribers is not kept: see to the disk",
                path=str(self._path),
                error=error.strerror or str(error),
            )
        else:
            log(_logger, logging.INFO, "what is known of subscribers is kept again")
