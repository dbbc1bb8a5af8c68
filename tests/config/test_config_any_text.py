"""Whatever a file holds, it is loaded or told wrong."""

import json
import re

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.configs import FULL

from gateway import config
from gateway.errors import ConfigError

# Text that comes near enough to a configuration to reach every check.
WORDS = """
server admin port host tls cert key apps api_key secrets file redis url embedded ingest path ack
subscribers name kind http log match types where retry waits headers timeout a b 1s 1MiB 80 3030
gateway strict call ${X} ${X:-1} ${ yes ~ null 012 *x &x !t << [ ] { } , : - ? | > ' " # % @ \\
--- ... \x07 \x85 \ufeff \u00e9
"""


words = st.sampled_from(WORDS.replace("\n", " ").split(" "))


texts = st.lists(st.tuples(words, st.sampled_from(["", " ", ": ", "\n", "\n  ", "\n- "])))


trees = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), words),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


def never_fails(folder, text):
    """Load `text`, which must work or raise ConfigError with a place in every line."""
    file = folder / "any.yaml"
    file.write_bytes(text)
    try:
        config.load(file, {"X": "x"})
    except ConfigError as error:
        for line in str(error).split("\n"):
            assert re.match(re.escape(str(file)) + r":[1-9]\d*:[1-9]\d*: \S", line), line


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.binary(),
        st.text().map(str.encode),
        texts.map(lambda parts: "".join(word + space for word, space in parts).encode()),
    )
)
@example(b"[" * 5000)
@example(b"a: " * 5000)
@example(b"{" * 900 + b"}" * 900)
@example(b"&a [*a]")
@example(b"!!python/object:os.system [x]")
@example(b"? ? ? a\n: b")
@example(b'"\\ud800": "\\ud800"')
@example(b"\xef\xbb\xbfapps: 1")
@example(b"apps: 1\n...\nx: [")
def test_any_text_is_loaded_or_told_wrong(tmp_path, text):
    """No text, however odd, raises anything but ConfigError."""
    never_fails(tmp_path, text)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_value_in_any_place_is_loaded_or_told_wrong(tmp_path, data):
    """With any one value of a full file replaced by any other, nothing but ConfigError is raised."""
    whole = {"": yaml.safe_load(FULL)}
    holder, at = whole, ""
    while isinstance(holder[at], dict | list) and holder[at] and data.draw(st.booleans()):
        holder = holder[at]
        at = data.draw(
            st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder)))
        )
    holder[at] = data.draw(trees)
    never_fails(tmp_path, json.dumps(whole[""], ensure_ascii=False).encode("utf-8", "replace"))
