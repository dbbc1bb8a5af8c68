"""Which events match: apps, globs, expressions, and what an expression may not do."""

import time
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.matching import MAX_CHARACTERS, EvaluationError, Matcher, compile_where
from gateway.event import Meta
from gateway.options import MatchOptions

EVENT = {
    "type": "call.created",
    "call": {"id": "x", "backstage": False, "custom": {"tier": "gold", "weight": 2.5}},
    "members": [{"user_id": "bob", "age": 7}, {"user_id": "eve", "age": 70}],
    "tags": ["a", "b"],
    "count": 3,
    "nothing": None,
}
BODY = orjson.dumps(EVENT)


def meta(kind="call.created", app="demo-key"):
    return Meta(app=app, type=kind, call_cid="default:x", accepted_ms=1, key="ab" * 16)


def wants(kind="call.created", app="demo-key", **options):
    return Matcher(MatchOptions(**options)).wants(meta(kind, app), BODY)


def test_nothing_asked_is_everything():
    """A subscriber without `match` gets every event."""
    assert wants()


def test_apps():
    """With `apps`, only theirs."""
    assert wants(apps=("demo-key", "b"))
    assert not wants(apps=("b",))


@pytest.mark.parametrize(
    ("kind", "globs", "expected"),
    [
        ("call.created", ("call.created",), True),
        ("call.created", ("call.ended", "call.created"), True),
        ("call.created2", ("call.created",), False),
        ("call.recording_ready", ("call.recording_*",), True),
        ("call.recording", ("call.recording_*",), False),
        ("xcall.recording_ready", ("call.recording_*",), False),
        ("call.created", ("user.*", "call.?reated"), True),
        ("Call.created", ("call.*",), False),
        ("call.created\n", ("call.created",), False),
        ("callXcreated", ("call.c*",), False),
        ("call.ended", ("call.[ce]*",), True),
        ("unknown.future", ("*",), True),
    ],
)
def test_types(kind, globs, expected):
    """`types` are globs over the whole type, in its own case."""
    assert wants(kind, types=globs) is expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('event.type == "call.created"', True),
        ('event.type.startsWith("call.") && !event.call.backstage', True),
        ('event.call["id"] in ["x", "y"]', True),
        ('"b" in event.tags', True),
        ('"tier" in event.call.custom', True),
        ("has(event.call.custom.tier)", True),
        ("has(event.call.custom.nope)", False),
        ("has(event.nope) && event.nope.x == 1", False),
        ("event.count == 3", True),
        ("event.count == 3.0", True),
        ("event.count > 2.5", True),
        ("event.call.custom.weight >= 2", True),
        ("event.count == '3'", False),
        ("event.nothing == null", True),
        ('event.members.exists(m, m.user_id == "bob")', True),
        ("event.members.all(m, m.age > 10)", False),
        ('event.members.exists_one(m, m.age > 10 && m.user_id != "bob")', True),
        ("size(event.members) == 2", True),
        (r'event.call.id.matches("^[a-z]$")', True),
        ("event.count > 2 ? true : false", True),
        ("event.nope == 1 || event.count == 3", True),
        ("true", True),
    ],
)
def test_expressions(expression, expected):
    """`where` is CEL over `event`; none of these is an error."""
    errors = []
    matcher = Matcher(MatchOptions(where=expression), lambda: errors.append(1))
    assert matcher.wants(meta(), BODY) is expected
    assert not errors


@pytest.mark.parametrize(
    "expression",
    [
        "event.nope == 1",
        "!(event.nope == 1)",
        "event.count > 'a'",
        "event.count",
        "event.count.x == 1",
        "event.tags[7] == 'a'",
        'event.call.custom[event.call.custom.tier] == "a"',
        "int(event.call.custom.tier) == 1",
    ],
)
def test_no_answer_is_no_match_and_counted(expression):
    """A missing field or a wrong type matches nothing, is counted, and quotes nothing."""
    errors = []
    matcher = Matcher(MatchOptions(where=expression), lambda: errors.append(1))
    assert not matcher.wants(meta(), BODY)
    assert errors == [1]
    assert matcher.last_error
    assert "gold" not in matcher.last_error


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"{", b'{"a":"\\ud800"}', b"\xff"])
def test_a_body_that_does_not_parse_is_no_match(body):
    """Only the expression parses the body; one it cannot read matches nothing."""
    errors = []
    matcher = Matcher(MatchOptions(where="event.a == 1"), lambda: errors.append(1))
    assert not matcher.wants(meta(), body)
    assert errors == [1]
    assert Matcher(MatchOptions()).wants(meta(), body)


@pytest.mark.parametrize(
    ("expression", "place", "says"),
    [
        ("event.", "column 7: ", "Syntax error"),
        ("foo == 1", "column 1: ", "undeclared reference to 'foo'"),
        ("event.a\n  == foo", "line 2, column 6: ", "undeclared"),
        ('"a" + 1 == "b"', "column 5: ", "overload"),
        ("1 + 1", "column 1: ", "true or false"),
        ('event.a == "\ud800"', "", ""),
        ("(" * 500 + "true" + ")" * 500, "", "recursion"),
        ("", "column 1: ", ""),
        ("event.a.map(x, x == 1) == [true]", "column 8: ", "exists()"),
        ("event.a . filter (x, x == 1) == []", "column 9: ", "filter() costs too much"),
        ("event.a.all(x, x.all(y, y.exists(z, z == 1)))", "column 26: ", "not more"),
        ("true" + " " * MAX_CHARACTERS, "", "2000 characters"),
    ],
)
def test_a_wrong_expression_says_what_and_where(expression, place, says):
    """What is wrong or may cost too much is refused in one line, with the column if there is one."""
    with pytest.raises(ValueError) as caught:
        compile_where(expression)
    text = str(caught.value)
    assert text
    assert len(text.splitlines()) == 1
    assert text.startswith(place)
    assert says in text


def test_macro_names_inside_of_strings_do_not_count():
    """Only calls are bounded, not texts and comments that look like them."""
    holds = compile_where("""event.t == ".map(" || event.t == '.filter(x.all(' // .map(""")
    assert holds({"t": ".map("})


def test_an_expression_is_bounded_in_time():
    """Nested macros over a list as long as a body allows end soon, without an answer."""
    holds = compile_where("event.l.all(a, event.l.all(b, a + b >= 0))")
    began = time.process_time()  # not what others take of the machine meanwhile
    with pytest.raises(EvaluationError, match="too long"):
        holds({"l": list(range(100_000))})
    assert time.process_time() - began < 5


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=3), json_values)
def test_matching_never_raises(event, value):
    """Whatever the body holds, a matcher answers yes or no."""
    try:
        body = orjson.dumps(event | {"a": value})
    except (orjson.JSONEncodeError, UnicodeEncodeError):
        return
    matcher = Matcher(MatchOptions(where='event.a > 1 || event.a.b.exists(x, x in event.a["c"])'))
    assert matcher.wants(meta(), body) in {True, False}


def test_the_engine_is_loaded_only_for_an_expression():
    """Installations without `where` do not pay for the engine."""
    import subprocess
    import sys

    code = (
        "import sys; from gateway.delivery.matching import Matcher;"
        "from gateway.options import MatchOptions; Matcher(MatchOptions(types=('a*',)));"
        "sys.exit('cel_expr_python' in sys.modules)"
    )
    here = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=here).returncode == 0
