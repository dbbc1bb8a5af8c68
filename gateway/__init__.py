"""A sidecar that takes Stream's video webhooks, never loses one, and hands them on.

     Stream ──POST──▶ ingest ──append──▶ journal ──▶ publisher ──▶ Redis Streams ──▶ delivery ──▶
                        │ 200 ◀──┘                                    │   parked,       subscribers
                                                                      │   dead letters
                                                                      └──▶ feed ──▶ watchers

Three paths, which never import each other and meet only in Redis:

    ingest      a webhook is read, verified, journaled and answered, all of one event-loop tick
                together. Read `acceptance`, then `connection`, then `intake`
    delivery    one worker per subscriber takes events from its consumer groups, matches,
                attempts, and settles. Read `worker`, then `lanes` and `settlement`
    feed        whoever watches a call gets its events as they are published. Read `hub`

Beside ingest and feed:

    sources     what Stream sends by SQS and SNS instead, into the same intake
    calls       tokens, who may watch, and what events say of a call
    api         Stream's own client API

Below them, one door to each outside thing:

    journal     the disk: append, read, forget. The 200 stands on it
    store       what lies in Redis: `keys` is the whole layout, every atomic step a file in `lua/`
    engine      the client of Redis, which knows no key of ours
    subscribers the destinations: one file per kind
    aws         SQS: credentials, signatures, its protocol
    lookup      names of hosts, for all of these: one that hangs holds up nobody else
    embedded    the Valkey server that we start when no Redis is configured
    native      the optional C piece: the plain case of ingest and publishing in a few calls

Around them:

    app         builds and wires everything; start there
    config      YAML and the environment, checked, to `options`
    commands    the command line
    cli         finds the command; `__main__` calls it
    admin       metrics, health, ledger, on a listener of their own
    readiness   whether a webhook can be taken now, and what else is wrong
    sending     signed samples, for a first event and for load

What all of them stand on:

    event       one body that Stream signed, and the little that we say about it
    options     every setting, with its unit and default
    errors      the exceptions, by whose fault it is
    metrics     the catalogue of what is counted
    tally       the counts of several processes, added up
    logs        one line for a finished thing
    unforeseen  what is told of exceptions that nobody foresaw
    clock       the one place that reads the wall clock
    tasks       ending tasks for certain
    event_body  a body as JSON content, also with half an emoji in it
    keyed_hash  HMAC-SHA256, as Stream signs with it
    listening   listening sockets, of both families at once
    open_files  how many files may be open, and who stays away before there are none left
    sizing      what a configuration may want of memory
    cgroups     what bounds us there

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
