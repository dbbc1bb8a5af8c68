"""README and docs/: what they say can be followed, typed, and written into a configuration."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.checkout import REPOSITORY, files
from support.command_lines import parse
from support.markdown import page

from gateway import config
from gateway.commands.banner import banner

PAGES = [path for path in files() if path.suffix == ".md"]
OURS = [path for path in PAGES if str(path) == "README.md" or path.parts[0] == "docs"]
APPS = {"apps": [{"api_key": "your-api-key", "secrets": ["s"]}]}
KEYS = set(
    re.findall(
        r"^\| `([^`]+)` \|", (REPOSITORY / "docs/configuration.md").read_text(), re.MULTILINE
    )
)
SECTIONS = "server|admin|redis|ingest|journal|retention|feed|upstream|log"
each_page = pytest.mark.parametrize("path", PAGES, ids=str)
each_of_ours = pytest.mark.parametrize("path", OURS, ids=str)


def read(path):
    return page(REPOSITORY / path)


@each_page
def test_links_lead_somewhere(path):
    """Every file that a page links to is in a clone, and every anchor is a heading there."""
    known = {str(REPOSITORY / one) for one in files()}
    for link in read(path).links():
        target, _, anchor = link.partition("#")
        there = (REPOSITORY / path).parent / target if target else REPOSITORY / path
        there = there.resolve()
        assert str(there) in known or (there.is_dir() and target), f"{link}: no such file"
        if anchor:
            assert anchor in page(there).anchors(), f"{link}: no such heading"


def test_every_page_is_reached_from_the_readme():
    """Whoever reads README finds all of docs/."""
    reached, waiting = set(), {REPOSITORY / "README.md"}
    while waiting:
        path = waiting.pop()
        reached.add(path)
        for link in page(path).links():
            there = (path.parent / link.partition("#")[0]).resolve()
            if there.suffix == ".md" and there not in reached:
                waiting.add(there)
    docs = {REPOSITORY / path for path in OURS}
    assert docs - reached == set()


def test_the_readme_stays_short():
    """It is for a stranger: what needs more room has a page of its own."""
    assert len((REPOSITORY / "README.md").read_text().splitlines()) <= 280


def commands(path):
    """What stands after `gateway` in whatever can be typed."""
    for span in read(path).spans():
        line = re.sub(
            r"^(\$ |docker compose exec gateway )", "", re.split(r" [#>] ", f"{span} ")[0].strip()
        )
        found = re.fullmatch(r"(?:\S*/bin/)?gateway ((?:[a-z]|--).*)", line)
        if found:
            yield found[1]


@each_page
def test_commands_can_be_typed(path):
    """Every call of the gateway that a page shows is one that its command line takes."""
    if path.name == "CHANGELOG.md":
        return  # it writes `list|show`
    for command in commands(path):
        assert parse(shlex.split(command)), command


def test_commands_are_found():
    """The search for them finds those of the pages that have many."""
    assert "send" in list(commands("README.md"))
    assert len(list(commands("docs/operating.md"))) > 10


@each_of_ours
def test_configurations_are_right(path, tmp_path):
    """Every piece of YAML that a page shows passes the check of the gateway."""
    for number, text in enumerate(read(path).fenced("yaml")):
        named = dict.fromkeys(re.findall(r"\$\{(\w+)", text), "a text")
        shown = {**APPS, **(yaml.safe_load(text) or {})}
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(shown))
        config.load(file, named)


@each_page
def test_keys_that_are_named_exist(path):
    """`section.key` in a page is a key of the configuration."""
    if path.name == "CHANGELOG.md":
        return  # it tells of the past too
    for span in read(path).spans():
        for key in re.findall(rf"^(?:{SECTIONS})\.[a-z_0-9.]+(?=$|:|=)", span):
            assert key in KEYS or any(one.startswith(f"{key}.") for one in KEYS), key


@each_of_ours
def test_metrics_that_are_named_exist(path):
    """What a page tells to watch is what the gateway counts."""
    package = (REPOSITORY / one for one in files() if one.parts[0] == "gateway")
    code = "".join(one.read_text() for one in package if one.suffix == ".py")
    for span in read(path).spans():
        for name in re.findall(r"^gateway_[a-z_]+", span):
            assert f'"{name}"' in code, name


@pytest.mark.parametrize(
    "path", [*OURS, *(one for one in PAGES if one.name == "CONTRIBUTING.md")], ids=str
)
def test_targets_of_make_exist(path):
    """`make X` in a page is in the Makefile."""
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    for span in read(path).spans():
        for target in re.findall(r"^make ([a-z-]+)", span):
            assert target in targets, target


def test_figures_are_those_of_the_kept_results():
    """If this fails: .venv/bin/python -m bench.pages"""
    command = [sys.executable, "-m", "bench.pages", "--check"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")


def test_hooks_before_a_commit_are_what_make_check_runs():
    """Each of them is a command of the Makefile's `check`, out of .venv."""
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"][0][
        "hooks"
    ]
    checks = (REPOSITORY / "Makefile").read_text()
    for hook in hooks:
        program, *words = hook["entry"].removesuffix(" --force-exclude").split()
        assert " ".join([program.replace(".venv/bin", "$(BIN)"), *words]) in checks


def test_the_first_start_is_shown_as_it_is():
    """README prints what the shipped configuration does, but for where the data is, and by which
    code of several webhooks are taken on this processor.
    """
    shipped = config.load(REPOSITORY / "config.yaml", {})
    told = banner(shipped, Path("config.yaml"), public_port=8080, admin_port=8081)
    lines = told.replace(str(shipped.data_dir), "/home/you/gateway/data").splitlines()
    shown = next(code for code in read("README.md").fenced("") if "webhooks" in code)
    here = [line for line in lines if "taken by" not in line]
    there = [line for line in shown.splitlines() if "taken by" not in line]
    assert len(here) == len(lines) - 1 == len(shown.splitlines()) - 1
    assert there[:-1] == here[:-1]
    assert shown.splitlines()[-1].startswith("Send a first event:")
