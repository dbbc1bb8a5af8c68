"""`gateway subscriber`: who receives events, how they stand, and who shall not for now."""

import json
from pathlib import Path
from typing import NamedTuple

import click
import uvloop

from gateway.commands.connect import redis_of
from gateway.commands.flags import CONFIG, DRY_RUN, JSON, load
from gateway.commands.text import counted, table
from gateway.engine.engine import Engine
from gateway.errors import GatewayError
from gateway.options import Config
from gateway.store.taking.dead_letters import DeadLetters
from gateway.store.taking.holders import present
from gateway.store.taking.subscriptions import Subscription, Subscriptions
from gateway.store.upkeep.ledger import Account, read_account

_HEAD = ("SUBSCRIBER", "STATE", "UNREAD", "IN FLIGHT", "PARKED", "DELIVERED", "BURIED")


class Row(NamedTuple):
    """One line of the list."""

    subscriber: str
    state: str
    unread: int
    in_flight: int
    parked: int
    delivered: int
    buried: int


@click.group()
def subscriber() -> None:
    """List, pause, resume and forget subscribers."""


@subscriber.command("list")
@CONFIG
@JSON
def list_(*, config_path: Path, as_json: bool) -> None:
    """List every subscriber with its state and what waits for it."""
    rows = uvloop.run(_rows(load(config_path)))
    if as_json:
        click.echo(json.dumps([row._asdict() for row in rows]))
    else:
        click.echo(table(_HEAD, rows))


async def _rows(config: Config) -> list[Row]:
    async with redis_of(config) as engine:
        known = await Subscriptions(engine).read()
        names = sorted({*known, *(each.name for each in config.subscribers)})
        return [
            _row(name, state_of(name, known.get(name), config), await read_account(engine, name))
            for name in names
        ]


def _row(name: str, state: str, account: Account) -> Row:
    waiting = (account.unread, account.in_flight, account.parked)
    return Row(name, state, *waiting, account.delivered, account.buried)


def state_of(name: str, known: Subscription | None, config: Config) -> str:
    """Say in a word or two how `name` stands; `known` is what Redis has on it."""
    options = next((each for each in config.subscribers if each.name == name), None)
    if known is None:
        return "not started"
    if known.state == "forgetting":
        return "being forgotten"
    if options is None:
        return "removed from config"
    return known.state if options.enabled or known.state == "paused" else "disabled"


@subscriber.command()
@CONFIG
@DRY_RUN
@click.argument("name")
def pause(*, config_path: Path, name: str, dry_run: bool) -> None:
    """Let nothing more go out to NAME; its backlog stays, within its bound.

    Takes about a second to reach a running gateway.
    """
    uvloop.run(_set(load(config_path), name, to="paused", dry_run=dry_run))


@subscriber.command()
@CONFIG
@DRY_RUN
@click.argument("name")
def resume(*, config_path: Path, name: str, dry_run: bool) -> None:
    """Go on with NAME where `pause` stopped."""
    uvloop.run(_set(load(config_path), name, to="active", dry_run=dry_run))


async def _set(config: Config, name: str, *, to: str, dry_run: bool) -> None:
    async with redis_of(config) as engine:
        subscriptions = Subscriptions(engine)
        state = (await known_or_told(subscriptions, name)).state
        if state == "forgetting":
            raise GatewayError(f"{name} is being forgotten: run `gateway subscriber forget` again")
        if state == to:
            click.echo(f"{name} is {to} already")
        elif dry_run:
            click.echo(f"{name} is {state}, would be {to}")
        else:
            await (subscriptions.pause(name) if to == "paused" else subscriptions.resume(name))
            click.echo(f"{name} is {to} now")


async def known_or_told(subscriptions: Subscriptions, name: str) -> Subscription:
    """Return what Redis has on `name`. Raises `GatewayError`, naming those that it knows."""
    known = await subscriptions.read()
    if name in known:
        return known[name]
    names = ", ".join(sorted(known)) or "none yet"
    raise GatewayError(f"no subscriber {name} has ever started here, those that have: {names}")


@subscriber.command()
@CONFIG
@DRY_RUN
@click.option("--force", is_flag=True, help="Even though a configuration has it.")
@click.argument("name")
def forget(*, config_path: Path, name: str, dry_run: bool, force: bool) -> None:
    """Delete NAME with all that waits for it and all its dead letters, for good."""
    config = load(config_path)
    if not force and any(each.name == name for each in config.subscribers):
        raise GatewayError(
            f"{name} is in {config_path} and would start anew at once: remove it there first, or"
            " use --force to drop what waits for it"
        )
    uvloop.run(_forget(config, name, dry_run=dry_run, force=force))


async def _forget(config: Config, name: str, *, dry_run: bool, force: bool) -> None:
    async with redis_of(config) as engine:
        subscriptions = Subscriptions(engine)
        await known_or_told(subscriptions, name)
        if not force and any(name in served for served in (await present(engine)).values()):
            raise GatewayError(
                f"a gateway that runs now delivers to {name}, and would start it anew at once:"
                " remove it from that one's configuration first, or use --force"
            )
        loss = await _loss(engine, name)
        if dry_run:
            click.echo(f"would forget {name} and discard {loss}")
            return
        await subscriptions.forget(name)
        click.echo(f"forgot {name} and discarded {loss}")


async def _loss(engine: Engine, name: str) -> str:
    waiting = (await read_account(engine, name)).waiting
    letters = await DeadLetters(engine).count(name)
    return f"{counted(waiting, 'waiting event')} and {counted(letters, 'dead letter')}"
