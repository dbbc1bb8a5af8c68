"""Sources: the other ways on which Stream sends events, beside webhooks. They all end in the same
intake, so what is promised of a webhook holds for them, and the same event by two ways is one.

- `sqs`    receivers of a queue; a message is deleted once its event is safe. `sqs_queue` is what
           they ask of SQS.
- `sns`    a route for what SNS posts; `sns_service` is what is asked of SNS, `certificates` and
           `sns_signature` tell that it was SNS.
- `decode` the texts that Stream puts into messages, back to the body. Pure.
- `run`    all that are configured.
"""
