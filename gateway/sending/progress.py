"""A progress bar on standard error, for runs long enough to wonder and people there to see it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from gateway.sending.summary import Tally

_AFTER_S = 2.0
_EVERY_S = 0.1


@asynccontextmanager
async def progress_bar(
    tally: Tally, total: int, *, console: Console | None = None, after_s: float = _AFTER_S
) -> AsyncIterator[None]:
    """Show `tally` on its way to `total`, once the body has taken `after_s` seconds."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    drawing = asyncio.create_task(_draw(tally, total, console, after_s))
    try:
        yield
    finally:
        drawing.cancel()
        await asyncio.wait({drawing})


async def _draw(tally: Tally, total: int, console: Console, after_s: float) -> None:
    await asyncio.sleep(after_s)
    columns = (*Progress.get_default_columns()[:3], MofNCompleteColumn(), TimeRemainingColumn())
    # It redraws when it is told to, from this task: no thread of its own beside the load.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task("sending", total=total)
        while True:
            bar.update(task, completed=tally.done, refresh=True)
            await asyncio.sleep(_EVERY_S)
