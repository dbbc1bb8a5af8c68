"""The peer for SQS: boto3 in a plain loop, as its documentation has it, with batches of ten.

`in` receives, decodes and stores each batch with one pipeline of XADD, then deletes it. `out` reads
a batch from a consumer group, sends it and acknowledges what SQS took. Neither verifies, journals,
deduplicates, retries or keeps an order.

    python -m bench.peers.sqs_boto3 in|out ENDPOINT QUEUE_URL REDIS_URL
"""

import sys
from base64 import b64decode, b64encode
from typing import Any

import boto3
import redis

STREAM, GROUP = "events", "peer"


def take_in(sqs: Any, url: str, client: Any) -> None:
    while True:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=20)
        messages = answer.get("Messages", [])
        if not messages:
            continue
        pipeline = client.pipeline(transaction=False)
        for message in messages:
            pipeline.xadd(STREAM, {"body": b64decode(message["Body"])})
        pipeline.execute()
        entries = [
            {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]}
            for n, message in enumerate(messages)
        ]
        sqs.delete_message_batch(QueueUrl=url, Entries=entries)


def hand_out(sqs: Any, url: str, client: Any) -> None:
    while True:
        found = client.xreadgroup(GROUP, "one", {STREAM: ">"}, count=10, block=1000)
        for _, events in found or ():
            entries = [
                {"Id": str(n), "MessageBody": b64encode(fields[b"body"]).decode()}
                for n, (_, fields) in enumerate(events)
            ]
            answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
            sent = [events[int(one["Id"])][0] for one in answer["Successful"]]
            client.xack(STREAM, GROUP, *sent)


def main() -> None:
    direction, endpoint, url, redis_url = sys.argv[1:]
    sqs = boto3.client("sqs", endpoint_url=endpoint)
    client = redis.Redis.from_url(redis_url, protocol=2)
    print("ready", flush=True)
    (take_in if direction == "in" else hand_out)(sqs, url, client)


if __name__ == "__main__":
    main()
