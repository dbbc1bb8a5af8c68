"""The C piece is never another opinion: what it takes, Python takes, and makes the same of it."""

import hashlib
import hmac
import json
import struct
from operator import attrgetter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.costs import assert_same_cost
from support.webhooks import sample_bodies

from gateway import native
from gateway.event import Event
from gateway.ingest.acceptance import Acceptance
from gateway.ingest.answers import UNAUTHORIZED, UNSUPPORTED_ENCODING
from gateway.ingest.listener_state import MAX_HEAD_BYTES
from gateway.ingest.requests import parse_head
from gateway.journal import reading, records
from gateway.metrics import Histogram
from gateway.options import App, IngestOptions
from gateway.store import keys
from gateway.store.publishing.batches import group
from gateway.store.publishing.digests import DigestSlices
from gateway.store.publishing.packing import Packing
from gateway.store.publishing.shard_state import ShardState

APPS = (
    App(api_key='quoted"key', secrets=("first", "s" * 100)),
    App(api_key="demo-key", secrets=("demo-secret",)),
)
OPTIONS = IngestOptions(max_body_bytes=20_000)
LINE = f"POST {OPTIONS.path} HTTP/1.1\r\n".encode()
NOW_MS = 1_790_000_000_123

ring = native.keyring(APPS)
pytestmark = pytest.mark.skipif(ring is None, reason="the C piece is not built here")


def by_c(data, start=0):
    return ring.take(data, start, LINE, MAX_HEAD_BYTES, OPTIONS.max_body_bytes, NOW_MS)


def by_python(data, start=0):
    """What the fast path does without the C piece, for a whole request."""
    if not data.startswith(LINE, start):
        return None
    head_end = data.find(b"\r\n\r\n", start, start + MAX_HEAD_BYTES)
    head = parse_head(data[start + len(LINE) : head_end]) if head_end >= 0 else None
    if head is None or head.content_length > OPTIONS.max_body_bytes:
        return None
    end = head_end + 4 + head.content_length
    if end > len(data):
        return None
    event = Acceptance(APPS, OPTIONS).judge(
        body=data[head_end + 4 : end],
        api_key=head.api_key,
        signature=head.signature,
        webhook_id=head.webhook_id,
        content_encoding=head.content_encoding,
        now_ms=NOW_MS,
    )
    return (end - start, event, head.close)


def slots(event):
    return {name: getattr(event, name) for name in Event.__slots__}


def request(body, *, app=APPS[1], secret=0, extra=b"", **changed):
    signature = hmac.digest(app.secrets[secret].encode(), body, "sha256").hex()
    headers = {
        "Host": "h",
        "Content-Length": len(body),
        "X-Signature": signature,
        "X-API-KEY": app.api_key,
        "X-WEBHOOK-ID": "one-1",
        **changed,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
    return LINE + lines.encode() + extra + b"\r\n" + body


def check(data, start=0):
    """Whatever C takes, Python takes and makes the same of it; tell whether C took it.

    What C says to be nobody's Python refuses, and it has the same length.
    """
    found = by_c(data, start)
    if found is None:
        return False
    expected = by_python(data, start)
    assert expected is not None
    length, event, close = expected
    assert found[0] == length
    assert not close
    if found[1] is None:
        assert event in (UNAUTHORIZED, UNSUPPORTED_ENCODING)
        return False
    assert isinstance(event, Event)
    assert slots(found[1]) == slots(event)
    return True


@pytest.mark.parametrize("name", sorted(sample_bodies()))
def test_every_sample_is_the_plain_case(name):
    """What Stream sends is what the C piece takes."""
    body = sample_bodies()[name]
    for app in APPS:
        for secret in range(len(app.secrets)):
            assert check(request(body, app=app, secret=secret))
    behind = b"x" * 7 + request(body) + b"rest"
    assert check(behind, 7)


@pytest.mark.parametrize("length", [*range(12, 200), 1000, 19_999])
def test_hashes_of_every_length(length):
    """The signature and the event's key are right for a body of any length."""
    body = b'{"type":"' + b"t" * (length - 11) + b'"}'
    assert check(request(body))
    found = by_c(request(body))
    assert found[1].key == hashlib.sha256(b"demo-key\0" + body).digest()[:16]


texts = st.text(max_size=12) | st.sampled_from(["type", "call_cid", "default:1", "\ud800", "\x7f"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
events = st.fixed_dictionaries(
    {"type": st.just("custom") | values},
    optional={"call_cid": st.just("default:x") | values, "a": values},
)


@settings(max_examples=1500, deadline=None)
@given(event=events, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]), data=st.data())
def test_any_json_and_what_is_nearly_json(event, ascii_only, indent, data):
    """Valid or broken in one place, in any spelling: no body is read differently."""
    text = json.dumps(event, ensure_ascii=ascii_only, indent=indent)
    body = bytearray(text.encode("utf-8", "surrogatepass"))
    check(request(bytes(body)))
    at = data.draw(st.integers(0, len(body) - 1))
    match data.draw(st.sampled_from(["cut", "change", "insert", "swap"])):
        case "cut":
            del body[at]
        case "change":
            body[at] = data.draw(st.integers(0, 255))
        case "insert":
            body[at:at] = data.draw(
                st.sampled_from(
                    [
                        b",",
                        b'"',
                        b"\\",
                        b"[",
                        b"]",
                        b"}",
                        b"0",
                        b"-",
                        b".",
                        b"e",
                        b" ",
                        b"\0",
                        b"\xc3\xa9",
                        b'"type":"x",',
                        b'"call_cid":"y",',
                        b"\xed\xa0\x80",
                        b"\xf4\x90\x80\x80",
                    ]
                )
            )
        case "swap":
            other = data.draw(st.integers(0, len(body) - 1))
            body[at], body[other] = body[other], body[at]
    check(request(bytes(body)))


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"a","type":"b"}',
        b'{"type":"a","call_cid":1}',
        b'{"type":"a","call_cid":null}',
        b'{"ty\\u0070e":"a"}',
        b'{"type":"a\\u0041"}',
        b'{"type":""}',
        b'{"type":"a","call_cid":""}',
        b'{"type":"a","call_cid":"' + b"c" * 257 + b'"}',
        b'[{"type":"a"}]',
        b'{"type":"a"} x',
        b'{"type":"a",}',
        b'{"type":"a" "b":1}',
        b'{"x":' + b"[" * 128 + b"]" * 128 + b',"type":"a"}',
        b'{"type":"a","n":01}',
        b'{"type":"a","n":1.}',
        b'{"type":"a","n":NaN}',
        b"\xef\xbb\xbf{}",
        b'{"type":"a","s":"\x01"}',
        b'{"type":"a","s":"\xff"}',
        b'{"a":{"type":"x"}}',
        b"{}",
        b"",
        '{"type":"\u00e9"}'.encode(),
        b'{"type":"a","s":"\\x"}',
        b'{"type":"a"',
        b'{"type":{}}',
    ],
)
def test_the_unusual_is_left_to_python(body):
    """What is not the plain case is not taken, valid or not."""
    assert by_c(request(body)) is None


def test_the_deepest_that_is_taken():
    """128 levels are an event for both."""
    body = b'{"x":' + b"[" * 127 + b"]" * 127 + b',"type":"a"}'
    assert check(request(body))


@pytest.mark.parametrize(
    "changed",
    [
        {"Host": None},
        {"Host": ""},
        {"Content-Length": None},
        {"Content-Length": "1x"},
        {"Content-Length": 20_001},
        {"Content-Length": "9" * 19},
        {"X-Signature": None},
        {"X-API-KEY": None},
        {"X-API-KEY": ""},
        {"Connection": "close"},
        {"Connection": "upgrade"},
        {"Expect": "100-continue"},
        {"Transfer-Encoding": "chunked"},
        {"Upgrade": "websocket"},
        {"X-WEBHOOK-ID": "i" * 129},
        {"X-WEBHOOK-ID": 'a"b'},
        {"X-WEBHOOK-ID": "\u00e9"},
    ],
)
def test_an_unusual_head_is_left_to_python(changed):
    """Whatever a head has that is not the plain case, Python or aiohttp judges it."""
    body = b'{"type":"a","call_cid":"default:1"}'
    assert by_c(request(body, **changed)) is None


EMPTY = hmac.digest(b"", b'{"type":"a","call_cid":"default:1"}', "sha256").hex()


@pytest.mark.parametrize(
    "changed",
    [
        {"X-Signature": "0" * 64},
        {"X-Signature": "A" * 64},
        {"X-API-KEY": "nobody"},
        {"X-API-KEY": "demo-ke"},
        {"X-Signature": "0" * 64, "Content-Encoding": "br"},
        {"X-Signature": EMPTY},
        {"X-Signature": EMPTY, "X-API-KEY": "nobody"},
    ],
)
def test_what_nobody_signed_is_said_so(changed):
    """Its length and no event: Python refuses it too, and need not hash it for that."""
    for app in APPS:
        whole = request(b'{"type":"a","call_cid":"default:1"}', app=app, **changed)
        assert by_c(whole + b"rest") == (len(whole), None)
        check(whole)


def test_an_unknown_key_costs_what_a_wrong_signature_costs():
    """By the C piece: whoever measures learns no key, and not how many secrets it has."""
    body = b"{" + b" " * 19_998 + b"}"
    wrong = [
        request(body, app=app, **{"X-Signature": "0" * 64, **key})
        for app, key in ((APPS[0], {}), (APPS[1], {}), (APPS[1], {"X-API-KEY": "nobody"}))
    ]
    assert_same_cost([lambda one=one: by_c(one) for one in wrong])


HEAD_BYTES = b"abXx-: \t\r\n\0\x7f\xffHost:Content-Length:"
ODD_LINES = [
    b"a:b\r\n",
    b" folded\r\n",
    b"a :b\r\n",
    b"\r\n",
    b"a:b\n",
    b"x-signature: 1\r\n",
    b"a\r\n",
    b":a\r\n",
    b"a:\x01\r\n",
    b"a: \xff\r\n",
    b"a:\tb \t\r\n",
    b"a\x80: b\r\n",
    b"a:b\rc\r\n",
]


@settings(max_examples=1500, deadline=None)
@given(st.binary(max_size=40) | st.lists(st.sampled_from(list(HEAD_BYTES)), max_size=40).map(bytes))
def test_any_head(extra):
    """No head, however odd, is read differently."""
    check(request(b'{"type":"a","call_cid":"default:1"}', extra=extra))


@pytest.mark.parametrize("line", ODD_LINES)
def test_odd_lines(line):
    """Lines that parsers are known to differ about."""
    check(request(b'{"type":"a","call_cid":"default:1"}', extra=line))


@given(st.integers(0, 400))
@settings(max_examples=200, deadline=None)
def test_requests_that_are_not_whole(size):
    """A request is taken when its last byte is there, and not before."""
    data = request(b'{"type":"a"}')
    assert check(data[:size]) is (size >= len(data))


def some_events(bodies, **more):
    return [
        Event(
            app="a",
            type="t",
            call_cid=f"default:{n}" if n % 3 else None,
            accepted_ms=n,
            key=hashlib.sha256(body).digest()[:16],
            body=body,
            **more,
        )
        for n, body in enumerate(bodies)
    ]


words = st.text(max_size=8) | st.sampled_from(
    ["", "a", "default:1", 'quo"ted', "back\\slash", "\x7f"]
)
stored_events = st.builds(
    Event,
    app=words,
    type=words,
    call_cid=st.none() | words,
    accepted_ms=st.integers(0, 1 << 50),
    key=st.binary(min_size=16, max_size=16),
    body=st.binary(max_size=99),
    webhook_id=words,
    signature=words,
    source=words,
    unfit=st.just("") | words,
)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20), st.integers(1, 1 << 40))
@settings(max_examples=300, deadline=None)
def test_records_and_commands(bodies, number):
    """Journal records are byte for byte the same."""
    events = some_events(bodies)
    by_python = records.encode_all(events, number, 77)
    gathered = native.stretch()
    for event in events:
        gathered.append(event)
    taken = gathered.take()
    assert [slots(event) for event in taken.events()] == [slots(event) for event in events]
    for data, stretch in (native.encode(events, number, 77), native.encode(taken, number, 77)):
        assert data == by_python[0]
        same_stretch(stretch, by_python[1])
    assert len(gathered) == 0


def same_stretch(one, other):
    """All that is asked of a stretch is answered the same."""
    assert [(*each[:3], slots(each.event)) for each in one] == [
        (*each[:3], slots(each.event)) for each in other
    ]
    for name in ("start", "end", "first_number", "last_number", "first_ms", "last_ms"):
        if len(other):
            assert getattr(one, name) == getattr(other, name)
        else:
            with pytest.raises((IndexError, ValueError)):
                getattr(one, name)


@given(st.lists(stored_events, min_size=1, max_size=8), st.integers(0, 9), st.integers(0, 9))
@settings(max_examples=300, deadline=None)
def test_stretches(events, begin, end):
    """Parts, and what is added behind: the same, and nothing else has changed."""
    made = []
    for encode in (native.encode, records.encode_all):
        _, whole = encode(events, 3, 1000)
        _, behind = encode(events[::-1], 3 + len(events), whole.end)
        part = whole.part(begin, end)
        part.extend(behind)
        part.extend(whole.part(0, 0))
        made.append((whole, behind, part))
    for by_c, by_python in zip(*made, strict=True):
        same_stretch(by_c, by_python)


def read_back(data):
    """All that a reader makes of a piece of the journal that begins at position 1000."""
    found, offset = [], 0
    while some := reading._some(data[offset:], 1000 + offset):
        found += [(*one[:3], slots(one.event)) for one in some]
        offset = some.end - 1000
    return found


@given(
    st.lists(stored_events, min_size=1, max_size=8),
    st.sampled_from([5, 2**63 - 4, 2**63, 2**64 - 8]),
    st.data(),
)
@settings(max_examples=500, deadline=None)
def test_records_are_read_back(events, number, data):
    """Whole or damaged in one byte, of plain events or odd ones, with numbers however high: the
    same is read.
    """
    records_of = bytearray(records.encode_all(events, number, 1000)[0])
    if data.draw(st.booleans()):
        records_of[data.draw(st.integers(0, len(records_of) - 1))] ^= 1 << data.draw(
            st.integers(0, 7)
        )
    by_c = read_back(bytes(records_of))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "decode", None)
        assert read_back(bytes(records_of)) == by_c


def test_plain_records_are_read_back_in_one_call():
    """What ingest stores of plain webhooks never needs Python to be read."""
    data, stored = records.encode_all(some_events([b"{}"] * 9, webhook_id="w-1"), 1, 0)
    again = native.decode(data, 0, 0)
    assert [one[:3] for one in again] == [one[:3] for one in stored]
    assert native.decode(data + b"GWR1", 0, 0).end == len(data)
    for offset in (len(data), len(data) + 1, -1):
        assert len(native.decode(data, offset, 0)) == 0


@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=40),
    st.lists(st.integers(0, 5000), min_size=keys.SHARDS, max_size=keys.SHARDS),
    st.booleans(),
    st.booleans(),
    st.integers(0, 39),
)
@settings(max_examples=300, deadline=None)
def test_publishing_commands(bodies, positions, must_heal, join, unfit):
    """The commands for the shards are byte for byte the same; who has an event gets none."""
    packing = Packing("journal-id", "token")
    states = [
        ShardState(position, 0, 0, 0, 0, DigestSlices(3_600_000), must_heal=must_heal)
        for position in positions
    ]
    events = some_events(bodies)
    _, by_python = records.encode_all(events, 7, 77)
    _, stored = native.encode(events, 7, 77)
    upto = stored.end
    lacking = {
        keys.shard_at(each.event.order_hash)
        for each in by_python
        if each.end > positions[keys.shard_at(each.event.order_hash)]
    }
    batches = sorted(group(by_python, upto, states), key=attrgetter("shard"))
    shards, commands = packing.commands(stored, upto, states, join=join)
    assert shards == sorted(lacking) == [batch.shard for batch in batches]
    assert commands == packing.packed(batches, states, join=join)
    assert len(commands) == (len(shards) and 1 if join else len(shards))
    by_python = packing.commands(by_python, upto, states, join=join)
    assert sorted(by_python[0]) == shards
    assert sorted(map(len, by_python[1])) == sorted(map(len, commands))
    heads = packing.heads(states, 0, 40)
    assert native.publish(stored, heads, b"", upto, b"", join) is not None
    events[unfit % len(events)].unfit = "not_an_event"
    _, stored = native.encode(events, 7, 77)
    assert native.publish(stored, heads, b"", upto, b"", join) is None
    assert len(packing.commands(stored, upto, states, join=join)[0]) == len(shards)


@given(st.lists(st.floats(0, 20)))
def test_histograms(moments):
    """A batch counted at once is the same as one by one."""
    one, other = Histogram("a", ""), Histogram("b", "")
    one.observe_since(moments, 20.0)
    for moment in moments:
        other.observe(20.0 - moment)
    assert one.counts == other.counts
    assert one.sum == pytest.approx(other.sum)


def placed():
    return native.encode(some_events([b"{}"]), 1, 0)[1]


@pytest.mark.parametrize(
    "call",
    [
        lambda: native.publish(placed(), [(0, 1, b"", b"")], b"", 1, b"l" * 129, 1),
        lambda: native.encode([1], 1, 0),
        lambda: native.encode(None, 1, 0),
        lambda: native.publish([1], [(0, 1, b"", b"")], b"", 1, b"", 1),
        lambda: native.publish(placed(), [], b"", 1, b"", 1),
        lambda: native.decode("text", 0, 0),
        lambda: native.send(1, "text"),
        lambda: native.publish(placed(), [None], b"", 1, b"", 1),
        lambda: native.publish(placed(), [(0,)], b"", 1, b"", 1),
        lambda: native.publish(native.stretch(), [(0, 1, b"", b"")], b"", 1, b"", 1),
        lambda: native.encode(placed(), 1, 0),
        lambda: native.stretch().append(1),
        lambda: native.stretch().part(0, 1),
        lambda: native.stretch().start,
        lambda: native.stretch().extend(placed()),
        lambda: placed().extend(native.stretch()),
        lambda: placed().extend([]),
        lambda: placed().append(some_events([b"{}"])[0]),
        lambda: ring.take("text", 0, LINE, 1, 1, 1),
        lambda: ring.take(b"", 0, LINE),
        lambda: native.observe((1.0,), [0], [1.0], 2.0),
        lambda: native.encode([Event.__new__(Event)], 1, 0),
        lambda: ring.add(b"k", "k", b"k", b"k", (b"1", b"2", b"3")),
    ],
)
def test_nonsense_raises(call):
    """A wrong call is an exception, never a crash."""
    with pytest.raises((TypeError, ValueError, struct.error)):
        call()
