"""Where events are: the journal, the engine, and how long either keeps them."""

from gateway import options
from gateway.config import values
from gateway.config.models.section import Section, key


class Redis(Section):
    becomes = options.RedisOptions
    url: values.RedisUrl = key(
        "`embedded`: a Valkey of our own below `data_dir`; or `redis://`, `rediss://` "
        "(TLS), `unix://`, `redis+sentinel://`, `redis+cluster://`: see "
        "[engines](acks-and-engines.md#engines)",
        example="rediss://user:password@host:6380/0",
    )
    max_memory_bytes: values.Size = key(
        "of the embedded Valkey, or what the container's own limit leaves of it; near "
        "it history gives way, then states of calls: see "
        "[memory](acks-and-engines.md#memory)",
        called="max_memory",
        example="4GiB",
    )
    timeout_s: values.Duration = key(
        "for one answer; then it counts as away", called="timeout", example="2s"
    )
    lease_s: values.Lease = key(
        "among gateways on one Redis: how long the work of one that is silent is left "
        "to it; 1s to 1m",
        called="lease",
        example="30s",
    )
    allow_volatile: bool = key(
        "also take a Redis without an append-only file, which a restart empties", example=True
    )
    sentinel_username: values.Text = key(
        "what Sentinels ask for; the user of the data stands in the URL", example="gateway"
    )
    sentinel_password: values.Secret = key("its password", example='"${SENTINEL_PASSWORD}"')
    ca: values.Authority = key(
        "for `rediss://` and its kin: the authorities to trust in place of the "
        "system's, as a PEM file (where Sentinels or nodes of a Cluster are asked who "
        "has what: beside them)",
        example="tls/ca.pem",
    )
    client_cert: values.ReadableFile = key(
        "our certificate, if that Redis asks for one", example="tls/cert.pem"
    )
    client_key: values.ReadableFile = key("its key", example="tls/key.pem")


class Journal(Section):
    becomes = options.JournalOptions
    max_bytes: values.Size = key(
        "of all files together, shared among the workers; when it is full, because "
        "Redis has been away so long: 503",
        called="max_size",
        example="20GiB",
    )
    segment_bytes: values.Size = key(
        "of one file; `max_size` holds at least two", called="segment_size", example="16MiB"
    )
    keep_s: values.Wait = key(
        "how long published events stay, to heal a Redis that lost its tail",
        called="keep",
        example="1h",
    )
    sync_interval_s: values.Duration = key(
        "how often it is forced to disk", called="sync_interval", example="20ms"
    )


class Retention(Section):
    becomes = options.RetentionOptions
    history_s: values.Wait = key(
        "what the streams keep beyond what subscribers need: for watchers that come "
        "back, and for `start: earliest`",
        called="history",
        example="6h",
    )
    max_bytes: values.Size = key("the same in bytes", called="max_size", example="2GiB")
    dead_letters_s: values.Duration = key(
        "how long a dead letter is kept", called="dead_letters", example="30d"
    )
    dead_letters_max_bytes: values.Size = key(
        "for each subscriber", called="dead_letters_max_size", example="1GiB"
    )
