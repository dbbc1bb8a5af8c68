"""What the URL of a queue tells: its region, its name, and whether it keeps an order. Pure.

https://docs.aws.amazon.com/general/latest/gr/sqs-service.html
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_REGION = r"([a-z]{2,}(?:-[a-z]+)+-[0-9])"
_HOSTS = (
    re.compile(rf"sqs(?:-fips)?\.{_REGION}\.amazonaws\.com(?:\.cn)?"),
    re.compile(rf"sqs(?:-fips)?\.{_REGION}\.api\.aws"),
    re.compile(rf"{_REGION}\.queue\.amazonaws\.com(?:\.cn)?"),
    re.compile(rf"[a-z0-9.-]+\.sqs\.{_REGION}\.vpce\.amazonaws\.com"),
)


@dataclass(frozen=True, slots=True)
class Queue:
    """Where to ask (`endpoint`, an origin), in which `region`, for which queue."""

    url: str
    region: str
    endpoint: str

    @property
    def name(self) -> str:
        return name_of(self.url)

    @property
    def is_fifo(self) -> bool:
        return is_fifo(self.url)


def name_of(queue_url: str) -> str:
    return urlsplit(queue_url).path.rpartition("/")[2]


def is_fifo(queue_url: str) -> bool:
    """Whether the queue keeps an order within groups: AWS says so in the name."""
    return name_of(queue_url).endswith(".fifo")


def region_of(queue_url: str) -> str | None:
    """Return the region that the host of a queue's URL names, None if it names none."""
    host = (urlsplit(queue_url).hostname or "").lower()
    if host == "queue.amazonaws.com":
        return "us-east-1"
    found = (pattern.fullmatch(host) for pattern in _HOSTS)
    return next((match[1] for match in found if match), None)


def queue(queue_url: str, region: str | None, endpoint: str | None) -> Queue:
    """Return the queue; `endpoint` and `region` come from its URL where they are not given.

    Raises ValueError where the URL names no region.
    """
    region = region or region_of(queue_url)
    if region is None:
        raise ValueError("the URL of the queue names no region")
    parts = urlsplit(endpoint or queue_url)
    return Queue(queue_url, region, f"{parts.scheme}://{parts.netloc}")
