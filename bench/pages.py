"""The figures that README.md and docs/ show, made of the kept results.

What stands between two marks of a page comes from results/*.md, and docs/figures.svg is drawn of
the same rows, so no page shows a figure that no run has had.

    .venv/bin/python -m bench.pages            # renews the pages, after a run
    .venv/bin/python -m bench.pages --check    # says which are not up to date
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.chart import Bar, Panel, draw
from bench.frame import RESULTS, SCENARIOS

TOP = Path(__file__).parents[1]
README, PERFORMANCE, CHART = "README.md", "docs/performance.md", "docs/figures.svg"
CLOSED = "64 connections, 1 KB"
OPEN = f"open loop at half load, {CLOSED}"
JOURNAL, REDIS = "gateway, ack: journal", "gateway, ack: redis"
AIOHTTP, FASTAPI = "aiohttp + redis.asyncio", "FastAPI + uvicorn + redis.asyncio"
BUN, CLIENT = "Bun + its Redis client", "aiohttp ClientSession + redis-py"
IN_CHART = (JOURNAL, REDIS, BUN, "fastify + ioredis, autopipelining", AIOHTTP, FASTAPI)
Row = Mapping[str, str]
LINES = """\
- A webhook costs {taken} microseconds of CPU: verified, journaled, deduplicated and published. Bun takes {bun} times that to publish it, aiohttp {aiohttp} times, FastAPI {fastapi} times.
- One process on one core takes {rate:,} webhooks a second.
- At half of that rate it answers within {p50:.2f} ms in the median, and {p99:.2f} ms at the 99th percentile.
- A delivery over HTTP costs {given} microseconds; aiohttp's client takes {client} times that. A message from SQS costs {queued:.0f}; boto3 takes {boto3} times that.
- An event to one of 1,000 watchers costs {alone} microseconds when it comes alone, and {many} with 16 under way. A watcher takes {watcher} KB.
- The process has {taking} MB of memory while it takes webhooks, and {giving} MB while it delivers."""


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def rows(scenario: str) -> list[Row]:
    """Return the rows of a kept table, each by its columns' names."""
    lines = _table(scenario).splitlines()
    header = _cells(lines[0])
    return [dict(zip(header, _cells(line), strict=True)) for line in lines[2:]]


def _table(scenario: str) -> str:
    return (RESULTS / f"{scenario}.md").read_text().partition("\n\n")[0]


def _pick(scenario: str, **wanted: str) -> Row:
    """Return the one row that has these values, by the beginnings of columns' names."""
    (found,) = (
        row
        for row in rows(scenario)
        if all(_column(row, name) == value for name, value in wanted.items())
    )
    return found


def _column(row: Row, beginning: str) -> str:
    return next(value for name, value in row.items() if name.startswith(beginning))


def _cost(row: Row) -> float:
    """Return the median of the CPU that it took."""
    return float(_column(row, "CPU").split()[0])


def _times(row: Row, ours: Row) -> str:
    return f"{_cost(row) / _cost(ours):.1f}"


def lines() -> str:
    """Return README's six lines."""
    taken = _pick("ingest", load=CLOSED, contender=JOURNAL)
    half = _pick("ingest", load=OPEN, contender=JOURNAL)
    given = _pick("delivery", subscribers="1", contender="gateway")
    alone, many = (
        _pick("feed", watchers="1,000, 1", messages=messages, contender="gateway")
        for messages in ("one at a time", "16 in flight")
    )
    queued = _pick("sqs", direction="in", contender="gateway")
    bun, aiohttp, fastapi = (
        _times(_pick("ingest", load=CLOSED, contender=name), taken)
        for name in (BUN, AIOHTTP, FASTAPI)
    )
    p50, p99 = (float(us) / 1000 for us in half["ack us p50 / p99"].split(" / "))
    return LINES.format(
        taken=_cost(taken),
        bun=bun,
        aiohttp=aiohttp,
        fastapi=fastapi,
        rate=int(taken["events/s"]),
        p50=p50,
        p99=p99,
        given=_cost(given),
        client=_times(_pick("delivery", subscribers="1", contender=CLIENT), given),
        queued=_cost(queued),
        boto3=queued["less than peer"].removesuffix("x"),
        alone=_cost(alone),
        many=_cost(many),
        watcher=many["KB/watcher"],
        taking=taken["RSS MB"],
        giving=given["RSS MB"],
    )


def _bars(scenario: str, names: tuple[str, ...], **wanted: str) -> Iterator[Bar]:
    for name in names:
        row = _pick(scenario, contender=name, **wanted)
        low, high = _column(row, "CPU").partition("(")[2].rstrip(")").split("..")
        ours = name.startswith("gateway")
        yield Bar(name.replace("`", ""), _cost(row), float(low), float(high), ours=ours)


def chart() -> str:
    """Return the chart, as SVG. Its ground is white, so it reads well on dark pages too."""
    sent = ("gateway", "undici dispatch + ioredis", CLIENT)
    watched = ("gateway", "Bun `publish`", "nchan (nginx)", "Node ws, a loop of `send`")
    panels = (
        Panel("A webhook taken in", list(_bars("ingest", IN_CHART, load=CLOSED))),
        Panel("An event delivered over HTTP", list(_bars("delivery", sent, subscribers="1"))),
        Panel(
            "An event to one of 1,000 watchers, 16 events under way",
            list(_bars("feed", watched, watchers="1,000, 1", messages="16 in flight")),
        ),
    )
    footer = (RESULTS / "ingest.md").read_text().splitlines()[-1].partition("; Linux")[0]
    title = "CPU, in microseconds for each: shorter is better"
    return draw(title, panels, f"Medians, least and most. {footer}")


def tables(scenario: str) -> str:
    """Return a scenario's kept table with its notes; of `ingest` the two loads that matter most."""
    _, _, below = (RESULTS / f"{scenario}.md").read_text().partition("\n\n")
    kept = [
        f"| {' | '.join(cells)} |"
        for cells in map(_cells, _table(scenario).splitlines())
        if scenario != "ingest" or cells[0] in {"load", CLOSED, OPEN} or cells[0].startswith("-")
    ]
    kept[1] = "|" + "---|" * (kept[0].count("|") - 1)
    return "\n".join(kept) + "\n\n" + below.strip()


def put(text: str, name: str, content: str) -> str:
    """Return the page with what stands between the two marks of this name made anew."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, mark, rest = text.partition(begin)
    if not mark or end not in rest:
        raise SystemExit(f"no marks {begin} and {end}")
    return f"{before}{begin}\n{content}\n{end}{rest.partition(end)[2]}"


def pages() -> dict[str, str]:
    """Return what each file should hold."""
    performance = (TOP / PERFORMANCE).read_text()
    for scenario in SCENARIOS:
        performance = put(performance, scenario, tables(scenario))
    readme = put((TOP / README).read_text(), "figures", lines())
    return {README: readme, PERFORMANCE: performance, CHART: chart()}


def main() -> None:
    """Renew the files, or say which are not up to date."""
    old = [name for name, text in pages().items() if _content(TOP / name) != text]
    if "--check" in sys.argv[1:]:
        raise SystemExit(f"not up to date: {', '.join(old)}" if old else 0)
    for name, text in pages().items():
        (TOP / name).write_text(text)
    print("renewed:", ", ".join(old) or "nothing")


def _content(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    main()
