"""The composition root: builds every part of every process, wires them, and runs them.

    running       one process, or a supervisor with workers
    sockets       the listening socket: opened here, or passed in
    role          what one process is to do, and its share of it
    single        one process, with all that there is once
    supervisor    the same for several
    worker_slot   keeps one worker running
    worker        what runs there
    channel       the line between the two
    all_workers   all of them shown as one
    data_dir      the data directory, its lock, and the embedded engine
    folder_trust  whether that directory can be trusted
    left_behind   another engine is refused while the embedded one still holds something
    process       one process: port and parts, until it is told to stop; then it drains
    engine_gate   whether the engine may be used: nothing is written there before
    part          what a part is asked for, what all parts share, and what is open
    ingest        the part with journal, publisher, intake, sources
    delivery      the part with the subscribers, and the janitor
    feed          the part that watches calls
    memory        the cycle collector and the allocator, told what kind of process this is

A part is built from what is shared and from nothing of another part's: they meet in Redis. What
two of them need of each other in one process is handed over in `process`, in plain sight.
"""

from gateway.app.part import Ports
from gateway.app.role import ALL, Name
from gateway.app.running import run

__all__ = ["ALL", "Name", "Ports", "run"]
