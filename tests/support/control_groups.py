"""Control groups as a process finds them, in files of a test's own."""

from pathlib import Path


def mounted(folder: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    """Write what says which group is ours, and the groups' files; return where either is."""
    (folder / "own").write_text(own)
    for name, text in files.items():
        path = folder / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "own", folder / "mount"
