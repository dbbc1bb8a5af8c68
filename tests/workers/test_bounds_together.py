"""What clients may make, over several workers and replicas."""

import time
from contextlib import AsyncExitStack

import aiohttp
from support.engines import running_engine
from support.running_gateway import running_gateway
from support.stream_client import token

PER_S_1 = {
    "access": "any",
    "guests": True,
    "user_events_per_s": 1,
    "new_calls_per_s": 1,
    "new_calls_burst": 20,
    "guests_per_s": 1,
    "guests_burst": 25,
}


class Crowd:
    """Asks all gateways in turn, by a new connection each time: workers take turns too."""

    def __init__(self, gateways):
        self._gateways = gateways
        self.began_s = time.monotonic()

    async def let_in(self, path, bodies, user=None):
        """How many of the requests with `bodies`, as `user`, are answered 201: the others 429."""
        headers = {"Connection": "close"}
        if user is not None:
            headers |= {"Authorization": token(user), "stream-auth-type": "jwt"}
        found = 0
        async with aiohttp.ClientSession(headers=headers) as session:
            for number, body in enumerate(bodies):
                port = self._gateways[number % len(self._gateways)].port
                url = f"http://127.0.0.1:{port}/video/{path.format(number)}?api_key=demo-key"
                async with session.post(url, json=body) as response:
                    assert response.status in (201, 429), await response.text()
                    found += response.status == 201
                    if response.status == 429:
                        assert int(response.headers["Retry-After"]) >= 1
                        assert (await response.json())["code"] == 9
        return found

    @property
    def since(self):
        """What a rate of one a second has brought since the beginning, at most."""
        return time.monotonic() - self.began_s + 1


async def test_workers_and_replicas_let_in_what_one_process_would(tmp_path):
    """Events, calls and guests: a bound is one bound, and what was let in is what is published."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(running_engine(tmp_path / "e"))
        gateways = [
            await stack.enter_async_context(
                running_gateway(
                    tmp_path / name,
                    server={"workers": 2},
                    redis={"url": url, "timeout": "60s"},
                    feed=dict(PER_S_1),
                )
            )
            for name in ("a", "b")
        ]
        for gateway in gateways:
            await gateway.up()
        crowd = Crowd(gateways)
        said = [{"custom": {"n": number}} for number in range(120)]
        events = await crowd.let_in("call/default/room/event", said, user="ann")
        assert 30 <= events <= 30 + crowd.since
        calls = 0
        for user in ("bob", "carol"):
            calls += await crowd.let_in(f"call/default/{user}-{{}}", [{}] * 40, user=user)
        assert 20 <= calls <= 20 + crowd.since
        guests = await crowd.let_in("guest", [{"user": {"id": "zoe"}}] * 80)
        assert 25 <= guests <= 25 + crowd.since
        for bound, most in (("user", 120), ("new_calls", 80), ("guests", 80)):
            name = f'gateway_too_fast_total{{bound="{bound}"}}'
            assert 0 < sum([await gateway.metric(name) for gateway in gateways]) < most
        for gateway in gateways:
            assert (await gateway.settled())["overall"]["published"] == events
