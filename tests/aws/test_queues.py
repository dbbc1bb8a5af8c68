"""What the URL of a queue tells."""

import pytest

from gateway.aws.queues import is_fifo, name_of, queue, region_of


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("sqs.eu-west-1.amazonaws.com", "eu-west-1"),
        ("SQS.eu-west-1.amazonaws.com", "eu-west-1"),
        ("sqs-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("sqs.eu-west-1.api.aws", "eu-west-1"),
        ("ap-southeast-2.queue.amazonaws.com", "ap-southeast-2"),
        ("queue.amazonaws.com", "us-east-1"),
        ("vpce-0a-1b.sqs.eu-west-1.vpce.amazonaws.com", "eu-west-1"),
        ("sqs.eu-west-1.amazonaws.com.example.com", None),
        ("localhost:4566", None),
    ],
)
def test_the_region_is_in_the_host(host, region):
    """Every form of AWS' own hosts names the region; no other host does."""
    assert region_of(f"https://{host}/123456789012/q") == region


def test_a_queue_is_asked_at_its_own_host_or_at_the_endpoint():
    """The URL tells everything, unless something else is given."""
    url = "https://sqs.eu-west-1.amazonaws.com/1/calls.fifo"
    own, other = queue(url, None, None), queue(url, "r-1", "http://h:1")
    assert (own.region, own.endpoint) == ("eu-west-1", "https://sqs.eu-west-1.amazonaws.com")
    assert (other.region, other.endpoint, other.url) == ("r-1", "http://h:1", url)
    assert own.is_fifo
    assert own.name == name_of(url) == "calls.fifo"
    assert not is_fifo("https://h/1/fifo")
    with pytest.raises(ValueError, match="no region"):
        queue("http://h/1/q", None, None)
