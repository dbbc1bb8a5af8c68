"""The composition root: builds every part of every process, wires them, and runs them.

    running     one process, or a supervisor with workers
    single      one process with all that there is once: home, admin listener
    supervisor  the same for several: `seat` keeps a worker running, `crew` shows all as one
    worker      what the supervisor runs; `channel` is the line between the two
    process     opens a port and parts, runs the loops until it is told to stop, drains
    gate        whether the engine may be used: nothing is written there before
    part        what a part of the process is asked for
    ingest      journal, publisher, intake, sources
    delivery    the subscribers, and the janitor
    feed        what watches calls
    shared      what all parts of one process have in common

A part is built from what is shared and from nothing of another part's: they meet in Redis. What
two of them need of each other in one process is handed over in `process`, in plain sight.
"""

from gateway.app.ports import Ports
from gateway.app.role import ALL, Name
from gateway.app.running import run

__all__ = ["ALL", "Name", "Ports", "run"]
