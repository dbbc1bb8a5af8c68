"""What was cut off the embedded engine's files, for `/readyz`, the metrics and the ledger.

A cut takes the engine back to one moment, and every account with it, so accounts add up by
themselves. What a journal holds of the time since comes again: of that nothing is lost. What it
does not hold any more is counted as forgotten, and what only the engine had may be gone: then the
ledger is not balanced, whatever the figures say, until an operator has judged that and taken the
folder with the bytes away. It prefers to say so once too often.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.embedded import Cut, moment, read_cuts_in

_ALONE = (
    "whatever the journal holds of that time came again, and the engine alone had the rest: pauses,"
    " revived or purged dead letters, and calls made here since"
)


class EngineFiles:
    """`data_dir`: None with a Redis of one's own; `trouble`: why the engine does not answer."""

    def __init__(
        self, data_dir: Path | None, trouble: Callable[[], str | None] = lambda: None
    ) -> None:
        self._data_dir, self._trouble = data_dir, trouble

    def reasons(self) -> list[str]:
        """Return why the engine does not answer, if that is known."""
        trouble = self._trouble()
        return [] if trouble is None else [f"the embedded Valkey does not answer: {trouble}"]

    async def warnings(self) -> list[str]:
        """Return what was cut off and not taken away yet, a sentence or two for each time."""
        return [_told(folder, cut) for folder, cut in await asyncio.to_thread(self._cuts)]

    def cut_bytes(self) -> int:
        return sum(cut.cut_bytes for _, cut in self._cuts())

    def _cuts(self) -> list[tuple[Path, Cut]]:
        return [] if self._data_dir is None else read_cuts_in(self._data_dir)

    async def judged(self, ledger: dict[str, Any], forgotten: int | None = None) -> dict[str, Any]:
        """Return the ledger with what the engine lost; `forgotten`: if it does not tell itself."""
        cuts = await asyncio.to_thread(self._cuts)
        if not cuts:
            return ledger
        overall: Mapping[str, int] = ledger["overall"]
        gone = overall.get("forgotten", 0) if forgotten is None else forgotten
        lost = [what for _, cut in cuts for what in cut.lost]
        if gone:
            lost.append(f"what became of {gone:,} events that the journal does not hold any more")
        return {
            **ledger,
            "overall": {
                **overall,
                "engine_cuts": len(cuts),
                "engine_cut_bytes": sum(cut.cut_bytes for _, cut in cuts),
            },
            "engine": {"lost": lost, "cuts": [_told(folder, cut) for folder, cut in cuts]},
            "balanced": ledger["balanced"] and not lost,
        }


def _told(folder: Path, cut: Cut) -> str:
    lost = f" Lost, or may be: {', '.join(cut.lost)}." if cut.lost else ""
    since = "a time that is not known" if cut.since_s is None else moment(cut.since_s)
    done = f"{cut.cut_bytes:,} bytes were cut off, written since {since}: {_ALONE}"
    return (
        f"the embedded Valkey's files were damaged, and mended at {moment(cut.at_s)}: {cut.why}."
        f" {done if cut.cut_bytes else 'Nothing was cut off'}.{lost} What was there is kept in"
        f" {folder}: take that away once nobody needs it, and this goes too"
    )
