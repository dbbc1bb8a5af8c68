"""A queue as a source, through the real process: formats, faults, kills, order."""

import asyncio
import gzip
import json
import os
import random
import signal
from base64 import b64decode, b64encode

import aiohttp
from support.eventually import eventually
from support.load import assert_in_order, numbers_by_call
from support.receiver import running_receiver, status
from support.running_gateway import running_gateway
from support.webhooks import distinct_event, sample_bodies, signed_request

from gateway.store import keys

LONG = bool(os.environ.get("GATEWAY_LONG"))


def plain(body):
    return body.decode()


def base64(body):
    return b64encode(body).decode()


def zipped(body):
    return b64encode(gzip.compress(body)).decode()


def source(queue, **more):
    return {"name": "queue", "kind": "sqs", "app": "demo-key", **queue.config, **more}


def to_http(receiver, **more):
    return {"name": "app", "kind": "http", "url": receiver.url, **more}


async def counted(gateway, what, name="queue", family="gateway_source_messages_total"):
    """The value of a source's counter."""
    label = "call" if "errors" in family else "what"
    url = f"http://127.0.0.1:{gateway.admin_port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        for line in (await response.text()).splitlines():
            if line.startswith(f'{family}{{source="{name}",{label}="{what}"}} '):
                return float(line.rpartition(" ")[2])
    return 0.0


async def emptied(queue):
    await eventually(lambda: queue.counts() == (0, 0), within_s=90)


async def post(gateway, body):
    async with aiohttp.ClientSession() as session:
        headers = signed_request(body)
        async with session.post(gateway.url, data=body, headers=headers) as response:
            return response.status


async def test_every_format_becomes_the_same_events(tmp_path, local_sqs):
    """Raw, base64 and gzip arrive as the bytes that Stream made, are deleted, and add up."""
    queue, bodies = local_sqs.queue(), list(sample_bodies().values())
    async with running_receiver() as receiver:
        settings = {"sources": [source(queue)], "subscribers": [to_http(receiver)]}
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            for n, body in enumerate(bodies):
                queue.send((plain, base64, zipped)[n % 3](body))
            await emptied(queue)
            ledger = await gateway.settled()
            assert sorted(receiver.bodies) == sorted(bodies)
            assert ledger["overall"]["published"] == len(bodies)
            for request in receiver.requests:  # signed anew: they came without a signature
                assert request.headers["x-signature"] == signed_request(request.body)["X-SIGNATURE"]
            assert await counted(gateway, "received") == len(bodies)
            assert await counted(gateway, "deleted") == len(bodies)


async def test_one_event_by_both_ways_is_one(tmp_path, local_sqs):
    """What came by webhook and by SQS, in any order and format, is delivered once."""
    queue = local_sqs.queue()
    async with running_receiver() as receiver:
        settings = {"sources": [source(queue)], "subscribers": [to_http(receiver)]}
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            first, second = distinct_event(1), distinct_event(2)
            assert await post(gateway, first) == 200
            queue.send(zipped(first), base64(first), plain(second), base64(second))
            await emptied(queue)
            assert await post(gateway, second) == 200
            ledger = await gateway.settled()
            assert sorted(receiver.bodies) == [first, second]
            assert ledger["overall"]["duplicates"] == 4


async def test_what_is_no_event_is_buried_once(tmp_path, local_sqs):
    """A message that is no event is counted, kept in the dead letters, and gone from the queue."""
    queue = local_sqs.queue()
    bomb = zipped(b'{"type":"a","pad":"%s"}' % (b"x" * 200_000))
    async with running_receiver() as receiver:
        settings = {
            "sources": [source(queue)],
            "subscribers": [to_http(receiver)],
            "ingest": {"max_body": "100KiB"},
        }
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            queue.send("hello", base64(b'{"no":"type"}'), bomb, plain(distinct_event(1)))
            await emptied(queue)
            ledger = await gateway.settled()
            assert receiver.bodies == [distinct_event(1)]
            assert ledger["overall"]["not_events"] == 3
            assert await counted(gateway, "not_an_event") == 3
            redis = await gateway.redis()
            letters = [await redis.hlen(keys.dead(n, keys.GATEWAY)) for n in range(keys.SHARDS)]
            assert sum(letters) == 3
            await redis.aclose()


async def test_messages_wait_in_the_gateway_while_it_cannot_store(tmp_path, local_sqs):
    """With the journal full, messages stay invisible and uncounted: none goes to the queue's own
    dead letters, and all are delivered once Redis is back.
    """
    dead = local_sqs.queue()
    redrive = json.dumps({"deadLetterTargetArn": dead.arn(), "maxReceiveCount": "1"})
    queue = local_sqs.queue(RedrivePolicy=redrive)
    bodies = [distinct_event(n, size_bytes=8_000) for n in range(60)]
    async with running_receiver() as receiver:
        settings = {
            "sources": [source(queue, visibility_timeout="9s")],
            "subscribers": [to_http(receiver)],
            "ingest": {"max_body": "64KiB"},
            "journal": {"max_size": "256KiB", "segment_size": "64KiB", "keep": "0s"},
        }
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            await gateway.redis()
            pid = await gateway.signal_engine(signal.SIGSTOP)
            await asyncio.to_thread(queue.send, *map(plain, bodies))
            await eventually(lambda: _refused(gateway), within_s=60)
            await eventually(lambda: _extended(gateway, 20), within_s=60)
            visible, invisible = queue.counts()
            assert 0 < invisible <= 20
            assert dead.counts() == (0, 0)
            os.kill(pid, signal.SIGCONT)
            await emptied(queue)
            await gateway.settled()
            assert sorted(receiver.bodies) == sorted(bodies)
            assert dead.counts() == (0, 0)
            assert await counted(gateway, "received") == len(bodies)


async def _refused(gateway):
    return await counted(gateway, "store", family="gateway_source_errors_total") > 0


async def _extended(gateway, least):
    return await counted(gateway, "extended") >= least


async def test_killed_between_receive_and_delete(tmp_path, local_sqs):
    """kill -9 again and again: every message is delivered, and everything adds up."""
    rounds, each = (30, 200) if LONG else (5, 150)
    dice = random.Random(11)
    queue = local_sqs.queue()
    async with running_receiver() as receiver:
        settings = {
            "sources": [source(queue, visibility_timeout="5s", receivers=3)],
            "subscribers": [to_http(receiver)],
        }
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            sent = []
            for turn in range(rounds):
                bodies = [distinct_event(turn * each + n) for n in range(each)]
                had = len(set(receiver.bodies))
                await asyncio.to_thread(queue.send, *map(base64, bodies))
                sent += bodies
                await eventually(
                    lambda had=had: len(set(receiver.bodies)) > had + dice.randrange(100),
                    within_s=60,
                )
                await gateway.kill()
                await gateway.start()
            await emptied(queue)
            ledger = await gateway.settled()
            delivered = receiver.bodies
            assert set(delivered) == set(sent)
            overall, account = ledger["overall"], ledger["subscribers"]["app"]
            assert overall["published"] == account["delivered"] == len(sent)
            print(
                f"{rounds} kills, {len(sent)} messages, {overall['duplicates']} received again,"
                f" {len(delivered) - len(sent)} delivered again"
            )


async def test_a_received_message_comes_again_after_a_kill(tmp_path, local_sqs):
    """Stored and not deleted, because the gateway died between: received again, delivered once."""
    queue = local_sqs.queue()
    bodies = [distinct_event(n) for n in range(5)]
    async with running_receiver() as receiver:
        settings = {"sources": [source(queue)], "subscribers": [to_http(receiver)]}
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            # What a gateway leaves behind that stored them by the webhook's way, had them in its
            # hands, and died before it deleted them: invisible messages, known events.
            for body in bodies:
                assert await post(gateway, body) == 200
            await gateway.settled()  # killed before, it would have to deliver some again
            await gateway.kill()
            queue.send(*map(base64, bodies))
            assert len(queue.receive(VisibilityTimeout=2)) == 5
            await gateway.start()
            await emptied(queue)
            ledger = await gateway.settled()
            assert sorted(receiver.bodies) == sorted(bodies)
            assert ledger["overall"]["duplicates"] == 5


async def test_a_fifo_queue_keeps_the_order_of_calls(tmp_path, local_sqs):
    """Through two FIFO queues, with receivers side by side and a kill between, calls keep order."""
    inward, outward = local_sqs.queue(fifo=True), local_sqs.queue(fifo=True)
    bodies = [distinct_event(n, f"default:call-{n % 5}") for n in range(200)]
    settings = {
        "sources": [source(inward, receivers=4, visibility_timeout="5s", wait="1s")],
        "subscribers": [
            {"name": "app", "kind": "sqs", "order": "call", **outward.config},
        ],
    }
    async with running_gateway(tmp_path / "g", **settings) as gateway:
        await asyncio.to_thread(
            inward.send,
            *map(plain, bodies),
            MessageGroupId=lambda text: text.partition("default:")[2][:6],
            MessageDeduplicationId=lambda text: str(hash(text)),
        )
        await eventually(lambda: sum(outward.counts()) > 50, within_s=60)
        await gateway.kill()
        await gateway.start()
        await emptied(inward)
        await gateway.settled()
        messages = await asyncio.to_thread(outward.drain)
        arrived = [b64decode(message["Body"]) for message in messages]
        assert set(arrived) == set(bodies)
        assert_in_order(arrived)
        assert len(numbers_by_call(arrived)) == 5
        groups = {message["Attributes"]["MessageGroupId"] for message in messages}
        assert groups == {f"demo-key/default:call-{n}" for n in range(5)}


async def test_a_queue_that_is_away_is_asked_again(tmp_path, local_sqs):
    """While SQS does not answer nothing else suffers; when it does, messages are taken."""
    queue = local_sqs.queue()
    async with running_receiver() as receiver:
        settings = {"sources": [source(queue, wait="1s")], "subscribers": [to_http(receiver)]}
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            local_sqs.freeze()
            assert await post(gateway, distinct_event(1)) == 200
            await gateway.settled()
            local_sqs.thaw()
            queue.send(plain(distinct_event(2)))
            await emptied(queue)
            await gateway.settled()
            assert receiver.bodies == [distinct_event(1), distinct_event(2)]


def scripted(**answers):
    """Behaviour by operation: a list is used up, then nothing is to be had."""

    def behave(request):
        operation = request.headers["x-amz-target"].rpartition(".")[2]
        left = answers.get(operation, [])
        content = left.pop(0) if left else {}
        code = content.pop("status", 200)
        return status(code, body=json.dumps(content).encode(), after_s=0 if left else 0.05)

    return behave


async def test_what_could_not_be_deleted_is_deleted_again(tmp_path, aws_environment):
    """Of a batch whose deletion failed in part, the rest is tried again, unless it is our fault."""
    messages = [
        {"MessageId": "m", "ReceiptHandle": f"r{n}", "Body": plain(distinct_event(n))}
        for n in range(3)
    ]
    failed = [
        {"Id": "0", "Code": "InternalError", "SenderFault": False},
        {"Id": "2", "Code": "ReceiptHandleIsInvalid", "SenderFault": True},
    ]
    async with running_receiver() as sqs:
        sqs.script = scripted(
            ReceiveMessage=[
                {"status": 400, "__type": "com.amazonaws.sqs#RequestThrottled"},
                {"Messages": [{"Body": "without a receipt"}]},
                {"Messages": messages},
            ],
            DeleteMessageBatch=[{"status": 500, "__type": "InternalError"}, {"Failed": failed}, {}],
        )
        url = f"http://127.0.0.1:{sqs.port}/1/q"
        queue = {"queue_url": url, "region": "eu-west-1", "receivers": 1}
        settings = {"sources": [{"name": "queue", "kind": "sqs", "app": "demo-key", **queue}]}
        async with running_gateway(tmp_path / "g", **settings) as gateway:

            def deletions():
                asked = [r for r in sqs.requests if "Delete" in r.headers["x-amz-target"]]
                return [[e["ReceiptHandle"] for e in json.loads(r.body)["Entries"]] for r in asked]

            every = ["r0", "r1", "r2"]
            await eventually(lambda: deletions() == [every, every, ["r0"]])
            await eventually(lambda: _deleted(gateway, 2))
            assert (await gateway.settled())["overall"]["published"] == 3
            family = "gateway_source_errors_total"
            assert await counted(gateway, "receive", family=family) == 2
            assert await counted(gateway, "delete", family=family) == 3


async def _deleted(gateway, count):
    return await counted(gateway, "deleted") == count


async def test_no_queue_there(tmp_path, local_sqs):
    """A queue that does not exist is told, again and again, and the gateway serves on."""
    queue = local_sqs.queue()
    queue.config["queue_url"] += "-gone"
    async with running_gateway(tmp_path / "g", sources=[source(queue)]) as gateway:
        await eventually(lambda: "QueueDoesNotExist" in gateway.log_text)
        assert await post(gateway, distinct_event(1)) == 200
        assert await counted(gateway, "receive", family="gateway_source_errors_total") >= 1


async def test_a_stop_does_not_wait_for_a_long_poll(tmp_path, local_sqs):
    """SIGTERM breaks off the waiting at once. What SQS then hands to nobody comes again."""
    queue = local_sqs.queue()
    settings = {"sources": [source(queue, visibility_timeout="5s")]}
    async with running_gateway(tmp_path / "g", **settings) as gateway:
        queue.send(plain(distinct_event(1)))
        await emptied(queue)
        assert await gateway.stop(within_s=15) == 0  # a long poll takes 20
        queue.send(plain(distinct_event(2)))
        await gateway.start()
        await emptied(queue)
        ledger = await gateway.settled()
        assert ledger["overall"]["published"] == 2
