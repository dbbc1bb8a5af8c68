"""`gateway ledger`: does everything that was accepted still add up?

A running gateway is asked, because only it knows the journal's side. When none runs, the
subscribers' side is read from Redis, and it is said that this is a part.
"""

import json
from pathlib import Path
from typing import Any

import aiohttp
import click
import uvloop

from gateway.admin.engine_files import EngineFiles
from gateway.admin.ledger import all_balance, totals
from gateway.commands.banner import admin_url
from gateway.commands.connect import redis_of
from gateway.commands.flags import CONFIG, JSON, load
from gateway.commands.text import printable, table
from gateway.errors import GatewayError
from gateway.lookup.connector import connector
from gateway.options import Config
from gateway.store.upkeep.ledger import read_ledger

_PATIENCE_S = 15.0
_HEAD = (
    "SUBSCRIBER",
    "BEFORE START",
    "PUBLISHED",
    "REPEATS",
    "UNMATCHED",
    "DELIVERED",
    "UNREAD",
    "IN FLIGHT",
    "PARKED",
    "BURIED",
    "DISCARDED",
    "BALANCE",
)
_PARTS = {"overall", "subscribers", "balanced"}
_NOT_RUNNING = "no gateway answers at {url}: this is Redis' side alone, without the journal's"


@click.command()
@CONFIG
@JSON
def ledger(*, config_path: Path, as_json: bool) -> None:
    """Show where everything is that was accepted, and whether it adds up.

    The exit code is 1 when something does not.
    """
    found = uvloop.run(_read(load(config_path)))
    click.echo(json.dumps(found) if as_json else render(found))
    click.get_current_context().exit(0 if found["balanced"] else 1)


async def _read(config: Config) -> dict[str, Any]:
    url = admin_url(config, config.admin.port)
    found = await _ask(f"{url}/ledger") if config.admin.port else None
    if found is not None:
        return found
    click.echo(_NOT_RUNNING.format(url=url), err=True)
    async with redis_of(config) as engine:
        streams = await read_ledger(engine)
    subscribers = streams["subscribers"]
    balanced = all_balance(subscribers)
    found = {"overall": totals(streams), "subscribers": subscribers, "balanced": balanced}
    files = EngineFiles(config.data_dir if config.redis.url == "embedded" else None)
    forgotten = sum(account.forgotten for account in streams["journals"].values())
    return await files.judged(found, forgotten)


async def _ask(url: str) -> dict[str, Any] | None:
    """Return what a running gateway answers, None when there is none. Raises `GatewayError`."""
    timeout = aiohttp.ClientTimeout(total=_PATIENCE_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector()) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            return _checked(url, response.status, await response.read())
    except aiohttp.ClientConnectorError:
        return None
    except (aiohttp.ClientError, OSError) as error:
        why = str(error) or type(error).__name__
        raise GatewayError(f"no answer from {url}: {why}") from error


def _checked(url: str, status: int, body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if status == 200 and isinstance(found, dict) and found.keys() >= _PARTS:
        return found
    said = found.get("error") if isinstance(found, dict) else None
    why = said or "is that the gateway's admin listener?"
    raise GatewayError(f"{url} answers {status}: {printable(str(why))}")


def render(found: dict[str, Any]) -> str:
    """Tell a ledger in two tables and a verdict."""
    overall = [(name.replace("_", " "), number) for name, number in found["overall"].items()]
    rows = [_row(name, account) for name, account in found["subscribers"].items()]
    tables = [table(("OVERALL", ""), overall), *([table(_HEAD, rows)] if rows else [])]
    cuts = found.get("engine", {}).get("cuts", [])
    return "\n\n".join((*tables, *map(printable, cuts), _verdict(found)))


def _verdict(found: dict[str, Any]) -> str:
    lost = found.get("engine", {}).get("lost", [])
    accounts_balance = not found["overall"].get("balance") and all_balance(found["subscribers"])
    if not (accounts_balance if lost else found["balanced"]):
        return "IT DOES NOT ADD UP"
    if lost:
        return f"LOST BY THE ENGINE, OR MAY BE: {printable(', '.join(lost))}"
    is_whole = "accepted" in found["overall"]
    return "everything adds up" if is_whole else "what subscribers were to get adds up"


def _row(name: str, account: dict[str, Any]) -> tuple[object, ...]:
    waiting = account["waiting"]
    return (
        name,
        account.get("before_start", "?"),
        account["published"],
        account["repeats"],
        account["unmatched"],
        account["delivered"],
        waiting["unread"],
        waiting["in_flight"],
        waiting["parked"],
        account["buried"],
        account["discarded"],
        account["balance"],
    )
