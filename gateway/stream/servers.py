"""From a URL to the servers behind it: which topology it names."""

from gateway.stream.access import Access
from gateway.stream.places import parse
from gateway.stream.topology import One, Topology


def topology_of(url: str, access: Access, timeout_s: float) -> Topology:
    """Return the topology that `url` names, nothing asked yet. Raises `ValueError`."""
    place = parse(url)
    if place.kind == "one":
        return One(url)
    # Only where somebody has to be asked: they load redis-py, see `asking`.
    if place.kind == "sentinel":
        from gateway.stream.sentinel import SentinelSet  # noqa: PLC0415

        return SentinelSet(place, access, timeout_s)
    from gateway.stream.cluster import Cluster  # noqa: PLC0415

    return Cluster(place, access, timeout_s)
