"""The versions that are kept in `versions/`: each one's code, and what a gateway of it left."""

import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).with_name("versions")


@dataclass(frozen=True)
class Version:
    name: str

    @property
    def code(self) -> Path:
        """The package `gateway`, without the C piece."""
        return ROOT / self.name / "gateway.tar.xz"

    @property
    def data(self) -> Path:
        """A data_dir: the journal, and the append-only file of its embedded engine."""
        return ROOT / self.name / "stored.tar.xz"

    @property
    def told(self) -> Path:
        """What was acknowledged before, and what became of it: JSON."""
        return ROOT / self.name / "stored.json"

    def manifest(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.told.read_text())
        return content

    def unpack_code(self, folder: Path) -> dict[str, str]:
        """Put its code into `folder`; return the environment in which Python finds that first."""
        return unpack_code(self.code, folder)

    def unpack_data(self, folder: Path) -> None:
        """Put what it left into `folder`, as a data_dir."""
        unpack(self.data, folder)


def kept() -> list[Version]:
    """All of them, the oldest first."""
    return [Version(path.parent.name) for path in sorted(ROOT.glob("*/stored.json"))]


def unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as packed:
        # Has to be said from 3.12 on, and is not known before 3.11.4.
        packed.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        packed.extractall(folder)


def unpack_code(archive: Path, folder: Path) -> dict[str, str]:
    unpack(archive, folder)
    return {**os.environ, "PYTHONPATH": str(folder), "GATEWAY_NATIVE": "0"}
