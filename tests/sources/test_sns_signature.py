"""Which addresses are SNS' own."""

import pytest

from gateway.sources.sns_signature import is_certificate_of, origin_of


@pytest.mark.parametrize(
    ("topic", "origin"),
    [
        ("arn:aws:sns:eu-west-1:1:t", "https://sns.eu-west-1.amazonaws.com"),
        ("arn:aws-us-gov:sns:us-gov-west-1:1:t", "https://sns.us-gov-west-1.amazonaws.com"),
        ("arn:aws-cn:sns:cn-north-1:1:t", "https://sns.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_each_region_has_its_own_host(topic, origin):
    """Certificates are those of the topic's own region and partition."""
    assert origin_of(topic) == origin
    assert is_certificate_of(origin, f"{origin}/SimpleNotificationService-0a1b.pem")


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a1b.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.com/SimpleNotificationService-0a1b.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.com/SimpleNotificationService-0a1b.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-0a1b.pem",
        "https://sns.eu-west-1.amazonaws.com/x/SimpleNotificationService-0a1b.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a1b.pem/../x",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a1b.pem\n",
        "https://sns.eu-west-1.amazonaws.com/?Action=x&y=SimpleNotificationService-0a1b.pem",
        "https://evil.com/https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
    ],
)
def test_nothing_else_is_a_certificate_of_sns(url):
    """No other scheme, host, port or path passes, however it looks."""
    assert not is_certificate_of("https://sns.eu-west-1.amazonaws.com", url)
