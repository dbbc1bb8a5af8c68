"""From a URL to the servers behind it: which topology it names."""

from gateway.engine.access import EngineAccess
from gateway.engine.topology import SingleServer, Topology
from gateway.engine.url import parse


def topology_of(url: str, access: EngineAccess, timeout_s: float) -> Topology:
    """Return the topology that `url` names, nothing asked yet. Raises `ValueError`."""
    place = parse(url)
    if place.kind == "one":
        return SingleServer(url)
    # Only where somebody has to be asked: they load redis-py, see `asking`.
    if place.kind == "sentinel":
        from gateway.engine.sentinel import SentinelSet  # noqa: PLC0415

        return SentinelSet(place, access, timeout_s)
    from gateway.engine.cluster import Cluster  # noqa: PLC0415

    return Cluster(place, access, timeout_s)
