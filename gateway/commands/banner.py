"""What is told when the gateway has opened its ports: to a newcomer, all that is needed next."""

import logging
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gateway import __version__, native
from gateway.calls import exposure
from gateway.logs import log
from gateway.options import DEMO_KEY, DEMO_SECRET, Config

_logger = logging.getLogger("gateway")

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}  # noqa: S104  # compared with


def origin(scheme: str, host: str, port: int) -> str:
    """Return an URL's beginning that this machine can call, also when we listen everywhere."""
    host = _EVERYWHERE.get(host, host)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def webhook_url(config: Config, port: int) -> str:
    """Return where webhooks go, from this machine."""
    scheme = "https" if config.server.tls else "http"
    return origin(scheme, config.server.host, port) + config.ingest.path


def admin_url(config: Config, port: int) -> str:
    """Return the admin listener's address, from this machine."""
    return origin("http", config.admin.host, port)


def demo_url(config: Config, port: int) -> str:
    """Return the demo page's address, from this machine."""
    return webhook_url(config, port).removesuffix(config.ingest.path) + "/demo"


def in_demo_use(config: Config) -> bool:
    """Whether the key or the secret that everybody knows would be accepted."""
    return any(app.api_key == DEMO_KEY or DEMO_SECRET in app.secrets for app in config.apps)


def send_command(config_path: Path) -> str:
    """Return the line that sends a first event, as it can be typed here."""
    default = config_path == Path("config.yaml")
    named = "" if default else f" --config {shlex.quote(str(config_path))}"
    return f"{command_line()} send{named}"


def command_line() -> str:
    """Return the gateway's own command, as it can be typed here."""
    command = "gateway"
    if shutil.which(command) is None:
        command = _from_here(Path(sys.executable).parent / command)
    return shlex.quote(command)


def _from_here(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def announce(
    config: Config,
    config_path: Path,
    *,
    public_port: int | None,
    admin_port: int,
    only: str | None = None,
) -> None:
    """Tell on standard error what is open: lines for people, or one JSON line among JSON.

    `public_port` None: nothing is taken here; `only`: the one part that runs.
    """
    if config.log.format == "text":
        lines = banner(
            config, config_path, public_port=public_port, admin_port=admin_port, only=only
        )
        sys.stderr.write(f"{lines}\n")
        sys.stderr.flush()
        return
    webhooks = {}
    if public_port is not None:
        webhooks = {"webhooks": webhook_url(config, public_port), "taken_by": native.told()}
    served = _served(config, public_port, only)
    told = {"strangers": exposure.strangers(served), "not_open": exposure.closed(served)}
    open_to = {name: sentences for name, sentences in told.items() if sentences}
    part = {} if only is None else {"only": only}
    log(
        _logger,
        logging.INFO,
        "listening",
        **webhooks,
        admin=admin_url(config, admin_port),
        data=str(config.data_dir),
        demo=in_demo_use(config),
        **open_to,
        **part,
    )


def _served(config: Config, public_port: int | None, only: str | None) -> Config:
    """Return the configuration as far as this process serves it."""
    if public_port is not None and only != "ingest":
        return config
    return replace(config, feed=replace(config.feed, enabled=False))


def banner(
    config: Config,
    config_path: Path,
    *,
    public_port: int | None,
    admin_port: int,
    only: str | None = None,
) -> str:
    """Return the lines to print once all ports are open."""
    return "\n".join(_lines(config, config_path, public_port, admin_port, only))


def _lines(
    config: Config, config_path: Path, public_port: int | None, admin_port: int, only: str | None
) -> Iterator[str]:
    engine = "embedded Valkey" if config.redis.url == "embedded" else "Redis by URL"
    yield f"gateway {__version__}"
    if only is not None:
        yield f"  runs         {only} alone"
    if public_port is not None:
        yield f"  webhooks     {webhook_url(config, public_port)}"
        yield f"  taken by     {native.told()}"
    yield f"  admin        {admin_url(config, admin_port)}/metrics  /healthz  /readyz  /ledger"
    has_feed = public_port is not None and only != "ingest"
    if public_port is not None and has_feed and exposure.demo_app(config) is not None:
        yield f"  watch calls  {demo_url(config, public_port)}"
    if config.server.workers > 1:
        yield f"  workers      {config.server.workers}"
    yield f"  data         {config.data_dir} ({engine})"
    if only in {None, "delivery"}:
        names = ", ".join(each.name for each in config.subscribers if each.enabled)
        yield f"  delivers to  {names or 'nobody yet'}"
    if in_demo_use(config):
        yield "  DEMO         the demo key and secret are in use: change before you expose the port"
    served = _served(config, public_port, only)
    for sentence in exposure.strangers(served):
        yield f"  OPEN         {sentence}"
    for sentence in exposure.closed(served):
        yield f"  NOT OPEN     {sentence}"
    if public_port is not None:
        yield f"Send a first event:  {send_command(config_path)}"
