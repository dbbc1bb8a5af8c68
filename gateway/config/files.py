"""What lies in files: paths, secrets, certificates.

Relative paths start at the configuration's own folder. A function raises `ValueError` with a
text that says what would be right, and never shows a secret.
"""

import ssl
from pathlib import Path

from pydantic import ValidationInfo

_MAX_SECRET_FILE_BYTES = 64 << 10
_MIN_PASSWORD = 16


def path(value: object, info: ValidationInfo) -> Path:
    """Return an absolute path; a relative one starts at the file's own folder."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("expected a path")
    folder: Path = (info.context or {})["folder"]
    return folder / value


def readable_file(value: object, info: ValidationInfo) -> Path:
    file = path(value, info)
    _content(file, limit=1, called=str(file))
    return file


def _content(file: Path, *, limit: int, called: str) -> bytes:
    """Return the first `limit` bytes of a regular file."""
    try:
        if not file.is_file():
            raise ValueError(f"no such file: {called}")
        with file.open("rb") as stream:
            return stream.read(limit)
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror}): {called}") from None


def secret(value: object, info: ValidationInfo) -> str:
    """Return the secret's text, from the file itself or from `{file: path}`."""
    if isinstance(value, dict) and set(value) == {"file"}:
        return _secret_in(path(value["file"], info))
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004  # pydantic collects this one only
            "expected text (in quotes if it is a number) or {file: path}"
        )
    if not value:
        raise ValueError("the secret is empty")
    return value


def _secret_in(file: Path) -> str:
    # The path is not repeated: whoever confuses the two forms has written the secret there.
    called = "the file of this secret (a relative path starts at the configuration's folder)"
    content = _content(file, limit=_MAX_SECRET_FILE_BYTES + 1, called=called)
    try:
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError("the file of this secret is not UTF-8 text") from None
    if not text or len(content) > _MAX_SECRET_FILE_BYTES:
        raise ValueError("the file of this secret is empty or larger than 64KiB")
    return text


def raw_credentials(value: str) -> str:
    user, colon, password = value.partition(":")
    if not colon or not user or len(password) < _MIN_PASSWORD:
        raise ValueError(
            f"expected user:password, the latter of {_MIN_PASSWORD} characters or more"
        )
    return value


def authority(value: object, info: ValidationInfo) -> Path:
    file = readable_file(value, info)
    try:
        ssl.create_default_context(cafile=file)
    except (ssl.SSLError, OSError):
        raise ValueError(f"holds no certificate in PEM form: {file}") from None
    return file


def check_pair(cert: Path, key: Path) -> None:
    """Raise `ValueError` unless both load and belong together."""
    try:
        # The password is answered here: OpenSSL would ask for it at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, lambda: b"")
    except (ssl.SSLError, OSError):
        raise ValueError(
            "the certificate and its key cannot be used together: expected two PEM files that "
            "belong to each other, the key without a password"
        ) from None
