"""Where Redis is, and what stands instead of Stream."""

import pytest
from support.configs import APPS, load, only_mistake

from gateway.errors import ConfigError


def test_certificates_need_a_redis_that_speaks_tls(tmp_path, certificates):
    """Files for TLS beside a URL without it would be a false sense of safety: an error."""
    with pytest.raises(ConfigError, match=r":2:9: redis.ca: only rediss:// speaks TLS"):
        load(tmp_path, APPS + "redis: {ca: tls/ca.pem}")


@pytest.mark.parametrize(
    "url",
    ["redis://h", "redis://h/", "redis://u:p%2Fq@h:1/3", "redis://h?db=3", "unix:///a/b?db=1"],
)
def test_where_one_redis_is(tmp_path, url):
    """What a URL of one server may hold: a user, a port, a database."""
    assert load(tmp_path, APPS + f"redis: {{url: '{url}'}}").redis.url == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://h:1,h:2", "several hosts: begin with redis+sentinel:// or redis+cluster://"),
        ("redis+sentinel://h:1,h:2", "the URL names no master"),
        ("redis+sentinel://h:1/calls/x", "the URL names no master"),
        ("redis+sentinel://h:1/calls?x=1", "leave out what follows the ?"),
        ("redis+cluster://h:1,h:2/1", "a Cluster has no other databases than 0"),
        ("redis+cluster://h:1,:2", "the URL names no host"),
        ("redis+cluster://h:port", "a port in the URL is none"),
        ("redis://h:0", "a port in the URL is none"),
        ("redis://h/calls", "nothing but the number of a database may follow"),
        ("redis://h/0?protocol=3", "nothing but the number of a database may follow"),
        ("rediss://h/0?ssl_cert_reqs=none", "nothing but the number of a database may follow"),
        ("redis://:a/b@h/0", "in a password write / as %2F"),
        ("redis://:a?b@h/0", "in a password write / as %2F"),
        ("redis+cluster://:a#b@h", "in a password write / as %2F"),
        ("unix://", "the URL names no socket"),
        ("unix://relative/path", "the URL names no socket"),
        ("unix:///path?x=1", "nothing but the number of a database may follow"),
    ],
)
def test_where_redis_is_must_be_whole(tmp_path, url, said):
    """Each form of redis.url says what it lacks, at its place."""
    line, column, found = only_mistake(tmp_path, APPS + f"redis: {{url: '{url}'}}")
    assert (line, column) == (2, 14)
    assert said in found


def test_credentials_for_sentinels_need_sentinels(tmp_path):
    """A password that nobody would be told is an error, not left aside."""
    with pytest.raises(ConfigError, match=r":2:29: redis.sentinel_password: url names no Sent"):
        load(tmp_path, APPS + "redis: {url: 'redis://h:1', sentinel_password: x}")


def test_the_upstream_is_named_without_its_paths(tmp_path):
    """The SDKs' own base URL, put here, would double /video in every request: an error."""
    for url in ("https://h/video", "https://h/api/v2/video/"):
        with pytest.raises(ConfigError, match=r":2:17: upstream.url: .* leave /video away"):
            load(tmp_path, APPS + f"upstream: {{url: '{url}'}}")
    with pytest.raises(ConfigError, match="without a query"):
        load(tmp_path, APPS + "upstream: {url: 'https://h/?a=1'}")
    assert load(tmp_path, APPS + "upstream: {url: 'https://h/proxy'}").upstream.url
