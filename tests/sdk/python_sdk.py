"""`getstream`: an application's server. Speaks as lines.js does, one command after another.

A process of its own, as the other SDKs have: its warnings and its threads are not the tests'.
"""

import asyncio
import inspect
import json
import sys
from typing import Any

from getstream import AsyncStream, Stream
from getstream.exceptions import StreamApiException
from getstream.models import CallRequest, SortParamRequest, UserRequest
from getstream.webhook import parse_sqs

PATIENCE_S = 60.0  # of a request: a machine may be slower than the SDK's default thinks


class Server:
    """One client; `connect` says whether it is the synchronous or the asynchronous one."""

    def __init__(self) -> None:
        self._stream: Any = None

    def connect(self, api_key, root_url, secret=None, token=None, is_async=False):
        """With `secret` a server, with `token` that user's client."""
        make = AsyncStream if is_async else Stream
        self._stream = make(
            api_key=api_key, api_secret=secret, token=token, base_url=root_url, timeout=PATIENCE_S
        )

    def token(self, user_id):
        return self._stream.create_token(user_id)

    def call_token(self, user_id, cids):
        return self._stream.create_call_token(user_id, call_cids=cids)

    async def get_or_create(self, cid, data=None):
        data = CallRequest(**data) if data else None
        return _plain(await _done(self._call(cid).get_or_create(data=data)))

    async def get(self, cid):
        return _plain(await _done(self._call(cid).get()))

    async def query(self, filter, sort=None, limit=None, next=None):  # noqa: A002
        sort = [SortParamRequest(**one) for one in sort] if sort else None
        query = self._stream.video.query_calls(
            filter_conditions=filter, sort=sort, limit=limit, next=next
        )
        answer = (await _done(query)).data
        return {"cids": [one.call.cid for one in answer.calls], "next": answer.next}

    async def send(self, cid, events, user_id=None):
        for custom in events:
            await _done(self._call(cid).send_call_event(user_id=user_id, custom=custom))

    async def send_as(self, cid, user, events):
        user = UserRequest(**user)
        for custom in events:
            await _done(self._call(cid).send_call_event(user=user, custom=custom))

    def parse_sqs(self, body):
        event = parse_sqs(body)
        return {"type": event.type, "call_cid": event.call_cid}

    def verify(self, body, signature):
        return self._stream.verify_signature(body.encode(), signature)

    def _call(self, cid):
        return self._stream.video.call(*cid.split(":"))


async def _done(answer):
    return await answer if inspect.isawaitable(answer) else answer


def _plain(response):
    call = response.data.call
    return {
        "call": {
            "cid": call.cid,
            "custom": call.custom,
            "created_at": call.created_at.isoformat(),
            "created_by": {"id": call.created_by.id},
        },
        "members": [{"user_id": member.user_id} for member in response.data.members],
    }


async def _outcome(server, command):
    try:
        return {"ok": await _done(getattr(server, command["do"])(**command["with"]))}
    except StreamApiException as error:
        name = type(error).__name__
        told = {"name": name, "message": error.message, "code": error.code}
        return {"error": {**told, "status": error.status_code}}
    except Exception as error:  # the test is to see it, whatever it is
        return {"error": {"name": type(error).__name__, "message": str(error)}}


async def main() -> None:
    server = Server()
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        said = {"id": command["id"], **await _outcome(server, command)}
        print(json.dumps(said), flush=True)


asyncio.run(main())
