"""`gateway dead`: events that no further attempt will be made for, for a person to judge.

`gateway` among the subscribers stands for the gateway's own: signed bodies that are no event.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import click
import uvloop

from gateway.commands import dead_letter_text
from gateway.commands.connect import redis_of
from gateway.commands.dead_letter_selection import check_name, choose, get, matching, names
from gateway.commands.flags import CONFIG, DRY_RUN, JSON, load
from gateway.commands.text import counted, table
from gateway.errors import GatewayError
from gateway.options import Config
from gateway.store import keys
from gateway.store.taking.dead_letters import DeadLetter, DeadLetters

_NAME = click.argument("subscriber")
_IDS = click.argument("ids", nargs=-1)
_ALL = click.option("--all", "every", is_flag=True, help="All of them instead of IDs.")
_REASON = click.option("--reason", help="Only those buried for this reason.")


@click.group()
def dead() -> None:
    """List, show, revive and purge dead letters."""


@dead.command("list")
@CONFIG
@JSON
@_REASON
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@click.argument("subscriber", required=False)
def list_(
    *, config_path: Path, subscriber: str | None, reason: str | None, limit: int, as_json: bool
) -> None:
    """List the dead letters of SUBSCRIBER, oldest first; without one, how many each has."""
    config = load(config_path)
    if subscriber is None:
        uvloop.run(_counts(config, as_json=as_json))
    else:
        uvloop.run(_list(config, subscriber, reason=reason, limit=limit, as_json=as_json))


async def _counts(config: Config, *, as_json: bool) -> None:
    async with redis_of(config) as engine:
        found = DeadLetters(engine)
        counts = {name: await found.count(name) for name in await names(engine)}
    if as_json:
        click.echo(json.dumps(counts))
    else:
        click.echo(table(("SUBSCRIBER", "DEAD LETTERS"), list(counts.items())))


async def _list(
    config: Config, name: str, *, reason: str | None, limit: int, as_json: bool
) -> None:
    async with redis_of(config) as engine:
        await check_name(engine, name)
        total = await DeadLetters(engine).count(name)
        found: list[DeadLetter] = []
        async for letter in matching(engine, name, reason):
            found.append(letter)
            if len(found) == limit:
                break
    if as_json:
        click.echo(
            json.dumps([dead_letter_text.as_json(letter, with_body=False) for letter in found])
        )
        return
    if found:
        click.echo(table(dead_letter_text.HEAD, [dead_letter_text.row(letter) for letter in found]))
    click.echo(f"{len(found)} of {counted(total, 'dead letter')} of {name}", err=True)


@dead.command()
@CONFIG
@JSON
@_NAME
@click.argument("ids", nargs=-1, required=True)
def show(*, config_path: Path, subscriber: str, ids: tuple[str, ...], as_json: bool) -> None:
    """Show dead letters with their bodies."""
    found = uvloop.run(_found(load(config_path), subscriber, ids))
    if as_json:
        click.echo(
            json.dumps([dead_letter_text.as_json(letter, with_body=True) for letter in found])
        )
    else:
        click.echo("\n\n".join(map(dead_letter_text.as_text, found)))


async def _found(config: Config, name: str, ids: Sequence[str]) -> list[DeadLetter]:
    async with redis_of(config) as engine:
        await check_name(engine, name)
        return await get(engine, name, ids)


@dead.command()
@CONFIG
@DRY_RUN
@_ALL
@_REASON
@_NAME
@_IDS
def revive(
    *,
    config_path: Path,
    subscriber: str,
    ids: tuple[str, ...],
    every: bool,
    reason: str | None,
    dry_run: bool,
) -> None:
    """Deliver dead letters again, from now on; they arrive marked as late."""
    _check_choice(ids, every=every)
    if subscriber == keys.GATEWAY:
        raise GatewayError(
            "these signed bodies are no events, so nobody can be given them: show or purge them"
        )
    config = load(config_path)
    uvloop.run(_move(config, "revive", subscriber, ids, reason=reason, dry_run=dry_run))


@dead.command()
@CONFIG
@DRY_RUN
@_ALL
@_REASON
@_NAME
@_IDS
def purge(
    *,
    config_path: Path,
    subscriber: str,
    ids: tuple[str, ...],
    every: bool,
    reason: str | None,
    dry_run: bool,
) -> None:
    """Delete dead letters for good."""
    _check_choice(ids, every=every)
    config = load(config_path)
    uvloop.run(_move(config, "purge", subscriber, ids, reason=reason, dry_run=dry_run))


def _check_choice(ids: tuple[str, ...], *, every: bool) -> None:
    if bool(ids) == every:
        raise click.UsageError("Name the IDs, or give --all for all of them.")


async def _move(
    config: Config, verb: str, name: str, ids: Sequence[str], *, reason: str | None, dry_run: bool
) -> None:
    """Revive or purge `ids`, or all if there are none."""
    async with redis_of(config) as engine:
        await check_name(engine, name)
        found = DeadLetters(engine)
        chosen = await choose(engine, name, ids, reason)
        if dry_run:
            number = await found.count(name) if chosen is None else len(chosen)
            click.echo(f"would {verb} {counted(number, 'dead letter')} of {name}")
            return
        move = found.revive if verb == "revive" else found.purge
        number = await move(name, chosen)
    click.echo(f"{verb}d {counted(number, 'dead letter')} of {name}")
