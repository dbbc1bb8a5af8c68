"""Sources: the other ways on which Stream sends events, beside webhooks.

    run           all that are configured: built, run, drained and closed together
    origin        whose events a source brings
    decode        the texts that Stream puts into messages, back to the body
    sqs           receivers of a queue; a message is deleted once its event is safe
    sqs_queue     what they ask of SQS
    received      messages between the intake and their deletion
    sns           a route for what SNS posts
    sns_service   what is asked of SNS: its certificates, and to begin sending
    sns_signature that it was SNS
    certificates  its certificates, fetched once each

They all end in the same intake, so what is promised of a webhook holds for them, and the same
event by two ways is one.
"""
