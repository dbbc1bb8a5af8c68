"""Where the gateway listens: the public port, and the one for operators."""

from typing import Self

from pydantic import model_validator

from gateway import options
from gateway.config import files, values
from gateway.config.models.section import Section, key, required


class Tls(Section):
    becomes = options.TlsOptions
    cert: values.ReadableFile = required(
        "the certificate, with those between it and its authority, as a PEM file",
        example="tls/cert.pem",
    )
    key: values.ReadableFile = required("its key, as a PEM file", example="tls/key.pem")

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        files.check_pair(self.cert, self.key)
        return self


class Server(Section):
    becomes = options.ServerOptions
    host: values.Host = key(
        'where webhooks come in; `"*"` (or `"::"`) for every address of both '
        "families, `0.0.0.0` for those of IPv4",
        example='"*"',
    )
    port: values.PublicPort = key(
        "not 3030, which Stream's SDK rewrites; 0 for any free one", example=443
    )
    tls: Tls = key("HTTPS without a proxy in front")
    max_connections: values.Count = key(
        "beyond it one makes room that has no request under way and never brought a "
        "signed one, the longest idle first, then the slowest of unfinished requests; "
        "never who has brought a signed one within a minute: where nobody can, 503 "
        "with `Retry-After: 1`. For each worker",
        unit="connections",
        example=20000,
    )
    max_unfinished_bytes: values.Size = key(
        "what requests that are not whole hold together; beyond it the slowest are "
        "answered 408, on connections that never brought a signed request",
        called="max_unfinished",
        example="16MiB",
    )
    header_timeout_s: values.Duration = key(
        "for a request's headers; then 408", called="header_timeout", example="2s"
    )
    body_timeout_s: values.Duration = key(
        "for a request's body; then 408", called="body_timeout", example="30s"
    )
    keepalive_timeout_s: values.Duration = key(
        "an idle connection is closed after it", called="keepalive_timeout", example="75s"
    )
    drain_s: values.Wait = key(
        "how long SIGTERM waits for what is under way, in all; whatever hangs gets a "
        "moment more, and is left",
        called="drain",
        example="30s",
    )
    workers: values.Workers = key(
        "processes that share the port and the work; `auto`: one for each processor, "
        "or as many as the quota of the container or unit allows",
        unit="processes",
        example="auto",
    )


class Admin(Section):
    becomes = options.AdminOptions
    host: values.Host = key("where metrics, health and the ledger are shown", example="10.0.0.7")
    port: values.Port = key("0 for any free one", example=9090)
    allow_remote: bool = key(
        "must be `true` for a host beyond loopback: whoever reaches this listener reads everything",
        example=True,
    )
