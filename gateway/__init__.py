"""A sidecar that takes Stream's video webhooks, never loses one, and hands them on.

     Stream ──POST──▶ ingest ──append──▶ journal ──▶ publisher ──▶ Redis Streams ──▶ delivery ──▶
                        │ 200 ◀──┘                                    │   due again,    subscribers
                                                                      │   dead letters
                                                                      └──▶ feed ──▶ watchers

Three paths, which never import each other and meet only in Redis:

- `ingest`    a webhook is read, verified, journaled and answered, all of one event-loop tick
              together. Read `acceptance`, then `fast_path`, then `intake`.
- `sources`   what Stream sends by SQS and SNS instead, into the same intake. Read `decode`, `sqs`.
- `delivery`  one worker per subscriber takes events from its consumer groups, matches, attempts,
              and settles. Read `worker`, then `lanes` and `settlement`.
- `feed`      whoever watches a call gets its events as they are published. Read `hub`, then
              `plain` and `sdk_socket`. `calls` knows tokens, who may watch, and what
              events say of a call (`keeper`); `api` answers Stream's own client API.

Below them, one door to each outside thing:

- `journal`      the disk: append, read, forget. The 200 stands on it.
- `stream`       Redis: `publisher` carries the journal into the streams by position; `keys` is
                 the whole layout; every atomic step is a file in `lua/`.
- `subscribers`  the destinations: one file per kind.
- `aws`          SQS: credentials, signatures, its protocol.
- `lookup`       names of hosts, for all of these: one that hangs holds up nobody else.
- `embedded`     the Valkey server that we start when no Redis is configured.

- `native`       the optional C piece: the plain case of ingest and publishing in a few calls.

Beside them: `admin` (metrics, health, ledger), `sending` (signed samples), `config` (YAML to
`options`), `commands` (the command line), `app` (builds and wires everything; start there).

What must stay true, whatever changes:

1. A 2xx means that the event is in the journal.
2. The body is never re-encoded: what was signed is what is stored and delivered.
3. Our own fault is never a 4xx, a sender's never a 5xx, and what is signed is never lost.
4. One event once: by a digest of app and body, marked in the same atomic step that publishes.
5. Nothing waits only in memory, and it adds up: accepted = in the journal + published +
   duplicates + not events; per subscriber, published = unmatched + delivered + waiting + buried
   + discarded by command. Both sides are counted independently; `gateway ledger` compares them.
6. Every queue, stream and set has a bound, and a rule for when it is full.
7. A call is (app, call_cid), everywhere, and has one order: that of publishing.
8. An event without a usable `call_cid` is its own unit of order.
"""

__version__ = "0.1.0"
