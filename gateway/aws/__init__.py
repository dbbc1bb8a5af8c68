"""The one door to AWS: whose credentials, how a request is signed, and SQS' own protocol.

    queues       what the URL of a queue tells
    credentials  found and renewed, in every place where AWS' own SDKs look
    signing      Signature Version 4
    sqs_client   one queue's requests over one pool of connections

Only `credentials` needs a package of AWS' (botocore), and imports it when it is first asked.
"""
