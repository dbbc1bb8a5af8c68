"""Where events go: one module per kind of subscriber, one contract that all of them keep.

    contract     what a subscriber is handed for one attempt
    outcome      what an attempt came to
    kinds        the kinds: the only place that knows them all
    log          kind `log`
    http         kind `http`
    headers      the headers between us and an HTTP subscriber
    connections  its connections: a bounded pool, one exchange at a time on each
    dialing      how one comes to be: name, egress, TLS
    egress       which addresses may be called
    answers      what it answers
    sqs          kind `sqs`
    sqs_messages an event as a message of SQS

A kind answers one question, delivered or not and why (`outcome`); it never waits between
attempts, counts or retries: that is decided once, for all kinds, in `gateway.delivery`.

To add a kind:
1. its options, a frozen dataclass in `gateway.options`, and its name in `SubscriberOptions.kind`;
2. a module here with a class that keeps `contract.Subscriber`: `attempt` ends within
   `attempt.timeout_s`, and every failure of the outside is a `Failed`, never an exception;
   no text of a `Failed` holds a secret or a URL, which may hold one;
3. one entry in `kinds.KINDS`;
4. one factory in `tests/subscribers/test_contract.py`, which runs the contract against it.
"""
