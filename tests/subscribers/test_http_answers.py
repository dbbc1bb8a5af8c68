"""Receivers' answers: what counts as one, and which connection may be used again."""

import asyncio
import gc

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpResponseParser
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.subscribers.answers import MAX_HEAD_BYTES, AnswerParser, Malformed

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"
MAX_BODY = 1000
LONG = MAX_HEAD_BYTES + MAX_BODY


def parsed(*pieces, ended=False):
    parser = AnswerParser(MAX_BODY)
    for piece in pieces:
        parser.feed(piece)
    if ended:
        parser.end()
    return parser


WHOLE = {
    "empty": (OK + EMPTY, 200, b""),
    "with a body": (OK + b"content-length:  3 \r\n\r\nabc", 200, b"abc"),
    "no reason": (b"HTTP/1.1 204\r\n\r\n", 204, b""),
    "no content, length ignored": (b"HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n", 304, b""),
    "after interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: <x>\r\n\r\n" + OK + EMPTY,
        200,
        b"",
    ),
    "chunked": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n",
        200,
        b"abcde",
    ),
    "chunked last of two, with a trailer": (
        OK + b"Transfer-Encoding: gzip\r\ntransfer-encoding: Chunked\r\n\r\nA\r\n0123456789\r\n"
        b"0\r\nDigest: x\r\n\r\n",
        200,
        b"0123456789",
    ),
    "HTTP/1.0 kept alive": (
        b"HTTP/1.0 500 X\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nno",
        500,
        b"no",
    ),
    "after blank lines": (b"\r\n\r\n" + OK + EMPTY, 200, b""),
    "a control character for a reason": (b"HTTP/1.1 200 \x00\r\n" + EMPTY, 200, b""),
    "bytes beyond ASCII": (b"HTTP/1.1 200 \xc3\xa4\r\nX: \xff\t\r\n" + EMPTY, 200, b""),
}


@pytest.mark.parametrize("name", WHOLE)
@given(data=st.data())
def test_a_whole_answer_is_read_however_it_is_cut(name, data):
    """Status and body are the same in whatever pieces they come, and the connection is reusable."""
    answer, status, body = WHOLE[name]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(answer) - 1))))
    parser = parsed(*(answer[i:j] for i, j in zip([0, *cuts], [*cuts, len(answer)], strict=True)))
    assert (parser.done, parser.reusable) == (True, True)
    assert (parser.answer.status, parser.answer.snippet) == (status, body)


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Connection: close\r\n" + EMPTY,
        OK + b"Connection: x, Close\r\n" + EMPTY,
        b"HTTP/1.0 200 OK\r\n" + EMPTY,
        OK + EMPTY + b"surplus",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nsurplus",
        OK + b"Transfer-Encoding: chunked\r\n\r\nbroken\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcXX",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * LONG,
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * LONG,
        OK + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n" + b"x" * (MAX_BODY + 1),
        OK + b"Content-Length: 5000\r\n\r\n" + b"x" * (MAX_BODY + 1),
        OK + b"\r\n" + b"x" * (MAX_BODY + 1),
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
    ],
)
def test_a_connection_in_doubt_is_not_used_again(answer):
    """The status stands, but what is asked to close, broken, too long or unasked costs it."""
    parser = parsed(answer)
    assert parser.status in {200, 101}
    assert (parser.done, parser.reusable) == (True, False)


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"Content-Length: 9\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Transfer-Encoding: chunked\r\n",
    ],
)
def test_an_answer_may_end_with_its_connection(start):
    """Once the status is here, the end of the connection is the end of the answer."""
    parser = parsed(OK + start + b"\r\n5", ended=True)
    assert (parser.status, parser.done, parser.reusable) == (200, True, False)


IMPERFECT = {
    "equal lengths": OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "listed lengths": OK + b"Content-Length: 2, 2\r\n\r\nok",
    "other lengths": OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a negative length": OK + b"Content-Length: -1\r\n\r\n",
    "no length in it": OK + b"Content-Length: \r\n\r\n",
    "a length that is no number": OK + b"Content-Length: 1_0\r\n\r\n",
    "a huge length": OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    "a length and chunks": OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a folded line": OK + b"X: y;\r\n  folded\r\n" + EMPTY,
    "a folded first line": OK + b" folded\r\n" + EMPTY,
    "a space before a colon": OK + b"X : y\r\n" + EMPTY,
    "a name with a space": OK + b"X Powered By: y\r\n" + EMPTY,
    "no name": OK + b": x\r\n" + EMPTY,
    "no colon": OK + b"bad header\r\n" + EMPTY,
    "control characters": OK + b"X: a\x01b\x00\r\n" + EMPTY,
    "a bare carriage return": OK + b"X: a\rb\r\n" + EMPTY,
    "a bare line feed": OK + b"X: y\n" + EMPTY,
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "bare line feeds alone": b"HTTP/1.1 200 OK\n\n",
    "a long line": OK + b"X: " + b"x" * MAX_HEAD_BYTES,
    "40 KB of cookies, unfinished": OK + (b"Set-Cookie: a=" + b"x" * 1000 + b"\r\n") * 40,
    "a folded line after an interim answer": b"HTTP/1.1 100 Go on\r\n\r\n"
    + OK
    + b"X: y\r\n folded\r\n"
    + EMPTY,
}


@pytest.mark.parametrize("name", IMPERFECT)
@given(data=st.data())
def test_an_imperfect_head_costs_the_connection_only(name, data):
    """The status of a head that HTTP/1 does not allow counts, in whatever pieces it comes; nobody
    waits for more, and the connection is not used again.
    """
    answer = IMPERFECT[name]
    cut = data.draw(st.integers(1, len(answer)))
    parser = AnswerParser(MAX_BODY)
    for piece in (answer[:cut], answer[cut:]):
        if not parser.done and piece:
            parser.feed(piece)
    assert (parser.status, parser.done, parser.reusable) == (200, True, False)


@pytest.mark.parametrize("answer", [OK + EMPTY, OK + b"bad header\r\n", OK + b"\r\nend"])
def test_an_answer_needs_no_cycle_collector(answer):
    """What has been read is freed at once, however many answers there are."""
    gc.collect()
    gc.disable()
    try:
        parsed(answer, ended=True)
        assert not [one for one in gc.get_objects() if isinstance(one, AnswerParser)]
    finally:
        gc.enable()


@pytest.mark.parametrize("status", [200, 503])
def test_a_large_head_that_came_whole_is_an_answer_like_any_other(status):
    """Many and long header lines are none of our business once they are here."""
    lines = b"".join(b"Set-Cookie: a%d=%s\r\n" % (n, b"x" * 1000) for n in range(40))
    parser = parsed(b"HTTP/1.1 %d X\r\n" % status + lines + b"Retry-After: 7\r\n" + EMPTY)
    assert (parser.done, parser.reusable) == (True, True)
    assert (parser.answer.status, parser.answer.retry_after) == (status, "7")


MALFORMED = [
    b"this is no HTTP\r\n\r\n",
    b"SSH-2.0-x\r\n",
    b"\x16\x03\x01",
    b"HTTP/2 200 OK\r\n" + EMPTY,
    b"HTTP/1.2 200 OK\r\n" + EMPTY,
    b"http/1.1 200 OK\r\n" + EMPTY,
    b"HTTP/1.1 2000 OK\r\n" + EMPTY,
    b"HTTP/1.1 20\r\n" + EMPTY,
    b"HTTP/1.1 OK\r\n" + EMPTY,
    b"HTTP/1.1 20" + b"\x00",
    b"HTTP/1.1 100 Continue\r\nX: y\r\n folded\r\n\r\n" + OK + EMPTY,
    b"HTTP/1.1 100 Continue\r\n\r\nthis is no HTTP\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 2000,
    b"\r\n" * MAX_HEAD_BYTES,
]


@pytest.mark.parametrize("answer", MALFORMED)
def test_what_is_no_answer_is_refused(answer):
    """Without a status line of HTTP/1, or with interim answers that do not come to one, there is
    no status.
    """
    with pytest.raises(Malformed):
        parsed(answer)


@pytest.mark.parametrize("status", [b"020", b"099", b"199"])
def test_a_status_that_answers_nothing_is_none(status):
    """What is below 200 is not the answer, whatever else it may be."""
    with pytest.raises(Malformed):
        parsed(b"HTTP/1.1 " + status + b" X\r\n" + EMPTY, ended=True)


@pytest.mark.parametrize("start", [b"", b"HTTP", OK, OK + b"X: y\r\n", b"HTTP/1.1 100 C\r\n\r\n"])
def test_an_answer_without_a_status_is_none(start):
    """A connection that closes before the head is whole has not answered."""
    with pytest.raises(Malformed, match="closed"):
        parsed(start, ended=True)


LINES = st.lists(
    st.sampled_from(
        [
            b"Content-Length: 2",
            b"content-length:2",
            b"Transfer-Encoding: chunked",
            b"X: y",
            b"Connection: close",
            b"Connection: keep-alive",
            b"X:",
            b"Retry-After: 3",
            b"A: \xff",
        ]
    ),
    max_size=3,
)


@given(status=st.sampled_from([200, 201, 204, 304, 404, 500]), lines=LINES)
@example(200, [])
def test_aiohttp_understands_the_same(status, lines):
    """A head that keeps its connection aiohttp's parser takes too, with the same framing."""
    head = b"HTTP/1.1 %d X\r\n" % status + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    parser = parsed(head)
    assert parser.status == status
    if parser.done and not parser.reusable:
        return
    loop = asyncio.new_event_loop()
    try:
        theirs = HttpResponseParser(BaseProtocol(loop), loop, 2**16, read_until_eof=True)
        ((message, payload),), upgraded, _ = theirs.feed_data(head)
    finally:
        loop.close()
    assert (message.code, upgraded) == (parser.status, False)
    assert payload.is_eof() == parser.done
    if parser.done:
        assert not message.should_close
