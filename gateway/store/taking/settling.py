"""Settling deliveries: what became of them, for one subscriber on one shard, as one call.

A batch may be sent again when its outcome is unknown: everything in it takes effect once. That
is why the counters of the ledger are moved by the script and by nothing else.
"""

from dataclasses import dataclass, field

from gateway.engine.resp import Arg
from gateway.store import keys
from gateway.store.parcels import Parcel, pack
from gateway.store.scripts import ScriptCall


@dataclass(slots=True)
class Settling:
    """A batch. `late_...` are of deliveries that were parked, the others fresh from the stream.

    The times are Unix milliseconds: when a parked one is due again, when one was buried.
    """

    delivered: list[bytes] = field(default_factory=list)
    unmatched: list[bytes] = field(default_factory=list)
    parked: list[tuple[bytes, int, Parcel]] = field(default_factory=list)
    buried: list[tuple[bytes, int, Parcel]] = field(default_factory=list)
    late_delivered: list[bytes] = field(default_factory=list)
    late_parked: list[tuple[bytes, int, Parcel]] = field(default_factory=list)
    late_buried: list[tuple[bytes, int, Parcel]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(self._lists())

    def _lists(self) -> tuple[list[bytes] | list[tuple[bytes, int, Parcel]], ...]:
        return (
            self.delivered,
            self.unmatched,
            self.parked,
            self.buried,
            self.late_delivered,
            self.late_parked,
            self.late_buried,
        )

    def args(self) -> list[Arg]:
        """Return the lists as `settle.lua` reads them: seven counts, then the members."""
        lists = self._lists()
        flat: list[Arg] = [len(members) for members in lists]
        for members in lists:
            for member in members:
                if isinstance(member, bytes):
                    flat.append(member)
                else:
                    flat += (member[0], member[1], pack(member[2]))
        return flat


def settle_call(shard: int, name: str, token: int, batch: Settling) -> ScriptCall[list[int]]:
    """Read as how many were settled anew, in the order of the fields of `Settling`."""
    names = (
        keys.events(shard),
        keys.subscription(shard, name),
        keys.due(shard, name),
        keys.parked(shard, name),
        keys.dead(shard, name),
        keys.dead_at(shard, name),
    )
    return ScriptCall("settle", names, (name, token, *batch.args()), list)
