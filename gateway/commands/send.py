"""`gateway send`: signed webhooks, as Stream would send them.

Address, key and secret come from the configuration unless they are given; then no
configuration is needed, so that any gateway anywhere can be tried.
"""

from pathlib import Path
from typing import NamedTuple

import click
import uvloop

from gateway.commands.banner import webhook_url
from gateway.commands.flags import CONFIG, load
from gateway.errors import GatewayError
from gateway.options import App, Config
from gateway.sending import SendPlan, render
from gateway.sending import send as send_plan


class Target(NamedTuple):
    """Where to send, and as whom; without a key the receiver has to try its secrets."""

    url: str
    api_key: str
    secret: str


_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@CONFIG
@click.argument("files", nargs=-1, type=_FILE)
@click.option("--file", "more_files", multiple=True, type=_FILE, help="A body to send.")
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="GLOB",
    help="Samples of these types only; may be repeated.",
)
@click.option("--count", type=click.IntRange(1), help="Events in all.  [default: each body once]")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="Requests a second.  [default: as fast as they are answered]",
)
@click.option("--connections", type=click.IntRange(1), default=8, show_default=True)
@click.option("--gzip", is_flag=True, help="Compress the bodies.")
@click.option(
    "--duplicate",
    type=click.IntRange(1),
    default=1,
    metavar="N",
    help="Send each event N times, as attempts of one webhook.",
)
@click.option("--url", help="Where to.  [default: the configuration's own address]")
@click.option("--key", "api_key", help="The app's API key.  [default: the first app's]")
@click.option(
    "--secret",
    envvar="GATEWAY_SEND_SECRET",
    show_envvar=True,
    help="The app's secret; others can see it in the process list.",
)
@click.option("--secret-file", type=_FILE, help="The file that holds the app's secret, instead.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0, min_open=True),
    default=6.0,
    show_default=True,
    help="Seconds for one request.",
)
@click.option("--ca", type=_FILE, help="Certificates to trust for https.")
def send(
    *,
    config_path: Path,
    files: tuple[Path, ...],
    more_files: tuple[Path, ...],
    types: tuple[str, ...],
    count: int | None,
    rate: float | None,
    connections: int,
    gzip: bool,
    duplicate: int,
    url: str | None,
    api_key: str | None,
    secret: str | None,
    secret_file: Path | None,
    timeout_s: float,
    ca: Path | None,
) -> None:
    """Send signed sample webhooks, or FILES, as Stream would.

    Each goes out with a fresh created_at. Ends with a summary; the exit code is 0 when every
    request was answered with 2xx.
    """
    secret = _secret_in(secret_file) if secret_file else secret
    where = target(config_path, url, api_key, secret)
    plan = SendPlan(
        url=where.url,
        api_key=where.api_key,
        secret=where.secret,
        types=types,
        files=(*files, *more_files),
        count=count,
        duplicate=duplicate,
        rate_per_s=rate,
        connections=connections,
        gzip=gzip,
        timeout_s=timeout_s,
        ca=ca,
    )
    summary = uvloop.run(send_plan(plan))
    click.echo(render(summary))
    click.get_current_context().exit(summary.exit_code)


def _secret_in(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise GatewayError(f"cannot read {file} as text") from error
    if not text:
        raise GatewayError(f"{file} is empty")
    return text


def target(config_path: Path, url: str | None, api_key: str | None, secret: str | None) -> Target:
    """Fill in from the configuration what is not given. Raises `GatewayError`."""
    if url and secret:
        return Target(url, api_key or "", secret)
    config = load(config_path)
    app = _app(config, config_path, api_key, given_secret=bool(secret))
    return Target(
        url or _own_url(config), api_key or app.api_key, secret or next(iter(app.secrets), "")
    )


def _app(config: Config, config_path: Path, api_key: str | None, *, given_secret: bool) -> App:
    found = [app for app in config.apps if api_key in {None, app.api_key}]
    if found:
        return found[0]
    if api_key and given_secret:
        return App(api_key=api_key, secrets=())
    known = ", ".join(app.api_key for app in config.apps) or "none"
    raise GatewayError(f"no app {api_key} in {config_path}, there are: {known}; or give --secret")


def _own_url(config: Config) -> str:
    if config.server.port == 0:
        raise GatewayError("server.port is 0, so its port is not known here: give --url")
    return webhook_url(config, config.server.port)
