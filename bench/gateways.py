"""The gateway as a contender: as installed, with a configuration and a `data_dir` of its own."""

import compileall
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import trustme

from bench.load import webhooks
from bench.processes import Valkey, free_ports, get, replica, running, wait_until
from bench.started import Buckets, Running, ready
from gateway.store import keys

_OURS = Path(__file__).parents[1] / "gateway"
_SHOWN = {"replicated": "{replicated: 1}"}


class RunningGateway(Running):
    admin_port: int

    def settle(self, stored: int) -> None:
        super().settle(stored)
        wait_until(
            lambda: "\ngateway_journal_waiting 0" in get(self.admin_port, "/metrics"),
            "an empty journal",
            every_s=0.02,
        )

    def ack_buckets(self) -> Buckets:
        found = []
        for line in get(self.admin_port, "/metrics").splitlines():
            if line.startswith('gateway_ack_seconds_bucket{le="'):
                bound, _, count = line.partition('le="')[2].partition('"} ')
                found.append((float(bound), float(count)))
        return found


class Gateway:
    """`gateway run` as installed, with a configuration and an empty `data_dir` of its own.

    `ack`: a mode, or "replicated" for one replica, which runs beside the engine. `more` is merged
    over the configuration, section by section. `feed`: with the feed and Stream's client API, which
    read every event once more to keep the state of its call. `native` False: without the C piece.
    """

    def __init__(
        self,
        ack: str,
        *,
        tls: bool = False,
        feed: bool = False,
        native: bool = True,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self._ack: Any = {"replicated": 1} if ack == "replicated" else ack
        self._tls, self._feed, self._more = tls, feed, more or {}
        self._environment = {} if native else {"GATEWAY_NATIVE": "0"}
        self.name = f"gateway-{ack}" + ("-tls" if tls else "") + ("-feed" if feed else "")
        self.name += "" if native else "-python"
        self.shown = (
            f"gateway, ack: {_SHOWN.get(ack, ack)}"
            + (", TLS" if tls else "")
            + (", feed" if feed else "")
            + ("" if native else ", without the C piece")
        )

    @contextmanager
    def start(self, folder: Path, valkey: Valkey, *, core: int) -> Iterator[RunningGateway]:
        _compile()
        port, admin_port = free_ports(2)
        authority = _certificate(folder) if self._tls else ""
        path = folder / "config.yaml"
        path.write_bytes(orjson.dumps(self._config(folder, valkey, port, admin_port)))
        command = [str(Path(sys.executable).with_name("gateway")), "run", "--config", str(path)]
        with ExitStack() as stack:
            if self._ack not in ("journal", "redis"):
                stack.enter_context(replica(folder / "replica", valkey))
            log = folder / f"{self.name}.log"
            process = stack.enter_context(
                running(command, core=core, log=log, environment=self._environment)
            )
            streams = [keys.events(shard) for shard in range(keys.SHARDS)]
            gateway = RunningGateway(process.pid, port, valkey, streams, b"b")
            gateway.admin_port, gateway.authority = admin_port, authority
            ready(gateway, process)
            yield gateway

    def _config(self, folder: Path, valkey: Valkey, port: int, admin_port: int) -> dict[str, Any]:
        server: dict[str, Any] = {"port": port}
        if self._tls:
            server["tls"] = {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
        config: dict[str, Any] = {
            "server": server,
            "admin": {"port": admin_port},
            "data_dir": str(folder / "data"),
            "apps": [{"api_key": webhooks.APP, "secrets": [webhooks.SECRET]}],
            "redis": {"url": valkey.url},
            "ingest": {"path": webhooks.PATH, "ack": self._ack},
            "feed": {"enabled": self._feed},
            "retention": {"max_size": "64GiB"},  # trimming would spoil the count
        }
        for section, values in self._more.items():
            mapping = isinstance(values, Mapping)
            config[section] = {**config.get(section, {}), **values} if mapping else values
        return config


@cache
def _compile() -> None:
    """Have our bytecode on disk, as an installation has it: compiling at the start leaves a
    megabyte behind.
    """
    compileall.compile_dir(_OURS, quiet=1)


def _certificate(folder: Path) -> str:
    """Write a certificate for 127.0.0.1 to `folder`; return the file of its authority."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    return str(folder / "authority.pem")
