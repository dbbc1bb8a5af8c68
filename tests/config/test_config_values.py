"""What stands outside of the file: variables, secrets in files, certificates."""

import pytest
import trustme
from support.configs import APPS, HTTP, load, only_mistake

from gateway import options


def test_variables_are_filled_in_after_parsing(tmp_path):
    """A variable gives a value, plain or quoted, and can never change the file's structure."""
    text = """\
server:
  port: 8${X}
apps:
  - {api_key: "${KEY}", secrets: ["$${A}b", "${S}"]}
data_dir: ${DIR:-x}/y${NOTHING:-}
"""
    loaded = load(tmp_path, text, X="000", KEY="12", S='"}], evil: {')
    assert loaded.server.port == 8000
    assert loaded.apps[0].api_key == "12"
    assert loaded.apps[0].secrets == ("${A}b", '"}], evil: {')
    assert loaded.data_dir == tmp_path / "x/y"


@pytest.mark.parametrize(
    ("value", "environ", "said"),
    [
        ("${A}", {}, "environment variable A is not set: set it, or give a default with ${A:-def"),
        ("${A}", {"A": ""}, "the variable is empty"),
        ("${A}", {"A": "yes"}, "different readers"),
        ("'${A'", {"A": "x"}, "expected ${NAME} or ${NAME:-default}"),
        ("'${A-b}'", {"A": "x"}, "expected ${NAME} or ${NAME:-default}"),
    ],
)
def test_a_variable_that_cannot_be_filled_in(tmp_path, value, environ, said):
    """It is a mistake at its place, never the literal text."""
    line, column, found = only_mistake(tmp_path, f"{APPS}data_dir: {value}", **environ)
    assert (line, column) == (2, 11)
    assert said in found


def test_an_empty_section_is_the_default(tmp_path):
    """All keys of a section may be commented out."""
    loaded = load(tmp_path, APPS + "server:\njournal:\nsubscribers:\n")
    assert (loaded.server, loaded.journal) == (options.ServerOptions(), options.JournalOptions())
    assert loaded.subscribers == ()


def test_secrets_from_files(tmp_path):
    """One trailing newline is taken off; an empty or unreadable file is a mistake."""
    (tmp_path / "one").write_text("s1\n")
    (tmp_path / "two").write_text(" s2 \n\n")
    (tmp_path / "none").write_text("\n")
    listed = "apps: [{api_key: k, secrets: [%s]}]"
    loaded = load(tmp_path, listed % f"{{file: one}}, {{file: {tmp_path}/two}}")
    assert loaded.apps[0].secrets == ("s1", " s2 \n")
    assert "empty" in only_mistake(tmp_path, listed % "{file: none}")[2]
    assert "no such file" in only_mistake(tmp_path, listed % "{file: .}")[2]


def test_certificate_and_key_must_belong_together(tmp_path, certificates):
    """A pair that TLS could not be started with is found here, without asking for a password."""
    other = trustme.CA().issue_cert("localhost").private_key_pem
    other.write_to_path(certificates / "other.pem")
    tls = "server: {tls: {cert: tls/cert.pem, key: tls/%s.pem}}"
    assert load(tmp_path, APPS + tls % "key").server.tls.key == certificates / "key.pem"
    assert only_mistake(tmp_path, APPS + tls % "other")[:2] == (2, 15)
    client = HTTP + "client_cert: tls/cert.pem, client_key: tls/other.pem}"
    assert "cannot be used together" in only_mistake(tmp_path, client)[2]
