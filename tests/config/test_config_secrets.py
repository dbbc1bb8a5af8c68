"""No text shows a secret."""

import pytest
from support.configs import APPS, FULL, HTTP, SOURCE, TOPIC, load, mistakes

from gateway import config

SECRETS = ("hush-hush-1", "hush-hush-2")


LEAKY = [
    "apps: [{api_key: k, secrets: hush-hush-1}]",
    "apps: [{api_key: k, secrets: {hush-hush-1}}]",
    "apps: [{api_key: k, secrets: [{hush-hush-1}]}]",
    "apps: [{api_key: k, secrets: [{hush-hush-1: hush-hush-2}]}]",
    "apps: [{api_key: k, secrets: [{file: hush-hush-1}]}]",
    "apps: [{api_key: k, secrets: ['${hush-hush-1}']}]",
    "apps: [{api_key: k, secrets: ['${hush-hush-1']}]",
    "apps: [{api_key: k, secrets: [[hush-hush-1]]}]",
    "apps: [{api_key: k, secrets: [hush-hush-1, hush-hush-2, hush-hush-1]}]",
    "apps: [{api_key: k, secrets: [hush-hush-1, hush-hush-1], x: y}]",
    "apps: [{api_key: k, secrets: [&hush-hush-1 x, *hush-hush-1]}]",
    "apps: [{api_key: k, secrets: [!hush-hush-1 x]}]",
    HTTP + "headers: {hush-hush-1 x}}",
    HTTP + "headers: hush-hush-1}",
    HTTP + 'headers: {A: "hush-hush-1\\0"}}',
    HTTP + "headers: {A: [hush-hush-1]}}",
    HTTP + "headers: {A: {hush-hush-1: hush-hush-2}}}",
    HTTP + "headers: {A: {hush-hush-1: 1, hush-hush-1: 2}}}",
    SOURCE + "kind: sns, path: /x, raw_credentials: hush-hush-1," + TOPIC + "}]",
    SOURCE + "kind: sns, path: /x, raw_credentials: {file: hush-hush-1}," + TOPIC + "}]",
    SOURCE + "kind: sns, path: /x, raw_credentials: {hush-hush-1: 'a:hush-hush-2'}," + TOPIC + "}]",
    APPS + "redis: {url: 'http://:hush-hush-1@h'}",
    APPS + "redis: {url: 'redis://:hush-hush-1@h:port'}",
    APPS + "redis: {url: 'redis://:hush-hush-1@'}",
    APPS + "redis: {'redis://:hush-hush-1@h'}",
    APPS + "redis: 'redis://:hush-hush-1@h'",
    APPS + "subscribers: [{name: a, kind: http, url: 'http://u:hush-hush-1@h/'}]",
]


@pytest.mark.parametrize("text", LEAKY)
def test_no_secret_in_the_text_of_a_mistake(tmp_path, text):
    """A mistake at or around a secret is told without the secret."""
    told = str(mistakes(tmp_path, text))
    assert not any(secret in told for secret in SECRETS)


def test_description_and_repr_show_no_secret(tmp_path, certificates):
    """`describe` tells what a person wants to check, and leaves out what nobody should see."""
    text = FULL.replace("u:p@h", "u:hush-hush-1@h").replace("Bearer x", "hush-hush-1")
    text = text.replace("[new, old]", "[hush-hush-1, hush-hush-2]")
    loaded = load(tmp_path, text.replace("https://h/x", "https://h/hush-hush-1?t=hush-hush-2"))
    told = config.describe(loaded)
    for expected in (
        "https://[::1]:0/in",
        "rediss+sentinel://h:1,h2",
        "k1: 2 secrets",
        "k2: 1 secret",
        "ack: replicated: 2",
        "everything: http",
        "types call.*",
        "order call",
        "disabled",
    ):
        assert expected in told
    assert "hush-hush" not in told
    assert "hush-hush" not in repr(loaded.apps) + repr(loaded.redis)
