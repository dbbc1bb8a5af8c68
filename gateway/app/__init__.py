"""The composition root: builds every part of one process, wires them, and runs them.

    process    opens ports and parts, runs the loops until it is told to stop, drains
    part       what a part of the process is asked for
    ingest     journal, publisher, intake, sources
    delivery   the subscribers, and the janitor
    feed       what watches calls
    shared     what all parts of one process have in common

A part is built from what is shared and from nothing of another part's: they meet in Redis. What
two of them need of each other in one process is handed over in `process`, in plain sight.
"""

from gateway.app.process import Ports, run

__all__ = ["Ports", "run"]
