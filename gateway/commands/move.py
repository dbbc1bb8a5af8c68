"""`gateway move`: from the embedded engine, or any other, to another one."""

import time
from dataclasses import replace
from pathlib import Path

import click
import uvloop

from gateway import embedded
from gateway.app.data_dir import only_owner
from gateway.commands.connect import redis_of
from gateway.commands.flags import CONFIG, DRY_RUN, load
from gateway.config.addresses import redis_url
from gateway.engine.engine import Engine
from gateway.engine.requirements import check_engine
from gateway.errors import GatewayError
from gateway.options import Config
from gateway.store.upkeep.holdings import read_holdings
from gateway.store.upkeep.moving import move as move_all


def _url(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:  # noqa: ARG001
    try:
        return None if value is None else redis_url(value)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong)) from None


@click.command()
@CONFIG
@DRY_RUN
@click.option("--from", "source", callback=_url, metavar="URL", help="Where the data is.")
@click.option("--to", "target", callback=_url, metavar="URL", help="Where it is to go.")
def move(*, config_path: Path, dry_run: bool, source: str | None, target: str | None) -> None:
    """Carry all data over to another Redis: what waits, is parked or buried, and all the rest.

    Without --to it goes to redis.url of the configuration; without --from it comes from the
    embedded engine in data_dir if that holds anything, else from redis.url. Stop every gateway
    first. If it is cut off, run it again. URLs are as in the configuration, whose files for TLS
    serve for both.
    """
    config = load(config_path)
    if source is None:
        source = "embedded" if embedded.holds_data(config.data_dir) else config.redis.url
    target = target or config.redis.url
    if target == source:
        raise GatewayError(
            f"it is not said where to: all is in {_shown(source)} already; name the new place with"
            " --to, or in redis.url"
        )
    uvloop.run(_move(config, source, target, dry_run=dry_run))


async def _move(config: Config, source: str, target: str, *, dry_run: bool) -> None:
    began = time.monotonic()
    async with (
        only_owner(config.data_dir, patience_s=0, otherwise=_running(config)),
        redis_of(_at(config, source), moves=True) as here,
        redis_of(_at(config, target), moves=True) as there,
    ):
        await check_engine(there, allow_volatile=config.redis.allow_volatile)
        if dry_run:
            click.echo(f"would move: {await read_holdings(here)}")
            return
        moved = await _told(here, there)
    if source == "embedded":
        embedded.discard_data(config.data_dir)
    took_s = time.monotonic() - began
    click.echo(f"moved: {moved} in {took_s:.1f} s")
    if config.redis.url != target:
        click.echo("now write the new URL into redis.url, and start the gateway")


async def _told(here: Engine, there: Engine) -> str:
    moved = await move_all(here, there, lambda text: click.echo(text, err=True))
    return f"{moved.holdings} ({moved.keys} keys)"


def _shown(url: str) -> str:
    """Return `url` without its password."""
    scheme, divider, rest = url.rpartition("://")
    return f"{scheme}{divider}{rest.rpartition('@')[2]}"


def _at(config: Config, url: str) -> Config:
    return replace(config, redis=replace(config.redis, url=url))


def _running(config: Config) -> str:
    return f"a gateway runs in {config.data_dir}: stop it first"
