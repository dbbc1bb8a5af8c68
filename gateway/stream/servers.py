"""From a URL to the servers behind it: which topology it names."""

from gateway.stream.access import Access
from gateway.stream.cluster import Cluster
from gateway.stream.places import parse
from gateway.stream.sentinel import SentinelSet
from gateway.stream.topology import One, Topology


def topology_of(url: str, access: Access, timeout_s: float) -> Topology:
    """Return the topology that `url` names, nothing asked yet. Raises `ValueError`."""
    place = parse(url)
    if place.kind == "one":
        return One(url)
    kind = SentinelSet if place.kind == "sentinel" else Cluster
    return kind(place, access, timeout_s)
