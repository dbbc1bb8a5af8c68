"""Stream's signature: the HMAC-SHA256 of the inflated body, keyed with an app's secret. Pure.

Comparison is in constant time and on bytes (`compare_digest` raises on non-ASCII text). An unknown
API key costs as much as a wrong signature under a known one, however many secrets that has, and
looks the same.

https://getstream.io/video/docs/api/webhooks/overview/
"""

import hashlib
from hmac import compare_digest

from gateway.event import KEY_BYTES
from gateway.keyed_hash import KeyedHash
from gateway.options import App

SIGNATURE_BYTES = 64  # lower-case hex


class Verifier:
    """Knows the secrets of all apps; finds whose signature it is."""

    def __init__(self, apps: tuple[App, ...]) -> None:
        keyed = [(app, [KeyedHash(text.encode()) for text in app.secrets]) for app in apps]
        self._all = [(app, secret) for app, secrets in keyed for secret in secrets]
        self._by_key = {
            app.api_key.encode(): [(app, secret) for secret in secrets] for app, secrets in keyed
        }
        self._unknown = KeyedHash(b"")
        self._most_secrets = max((len(app.secrets) for app in apps), default=1)
        self._identities = {
            app.api_key: hashlib.sha256(app.api_key.encode() + b"\0") for app in apps
        }

    def verify(self, api_key: bytes | None, body: bytes, signature: bytes | None) -> App | None:
        """Return the app that signed `body`; None for a bad signature or an unknown key.

        `api_key` picks the app; None: every app's secrets are tried.
        """
        if signature is None or len(signature) != SIGNATURE_BYTES:
            return None
        candidates = self._all if api_key is None else self._by_key.get(api_key, [])
        for app, secret in candidates:
            if compare_digest(secret.sign(body).encode(), signature):
                return app
        for _ in range(len(candidates), self._most_secrets):
            self._unknown.sign(body)
        return None

    def event_key(self, app: App, body: bytes) -> bytes:
        """Return the identity of an event: a digest of its app and its inflated body."""
        digest = self._identities[app.api_key].copy()
        digest.update(body)
        return digest.digest()[:KEY_BYTES]

    def name(self, api_key: bytes | None) -> str:
        """Return the configured app that a request names, for metrics and logs, or `unknown`."""
        candidates = self._by_key.get(api_key) if api_key is not None else None
        return candidates[0][0].api_key if candidates else "unknown"
