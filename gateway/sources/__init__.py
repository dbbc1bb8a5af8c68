"""Sources: the other ways on which Stream sends events, beside webhooks. They all end in the same
intake, so what is promised of a webhook holds for them, and the same event by two ways is one.

- `sqs`    receivers of a queue; a message is deleted once its event is safe.
- `sns`    a route for what SNS posts; `sns_signature` and `certificates` tell that it is SNS.
- `decode` the texts that Stream puts into messages, back to the body. Pure.
- `run`    all that are configured.
"""
