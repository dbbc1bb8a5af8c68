"""What all parts of one process have in common."""

from dataclasses import dataclass

from gateway.engine.engine import Engine
from gateway.metrics import Metrics
from gateway.options import Config
from gateway.store.restoring.restorer import Restorer


@dataclass(frozen=True, slots=True)
class Shared:
    config: Config
    engine: Engine  # for commands; the publisher and the doorbell have connections of their own
    metrics: Metrics
    restorer: Restorer
