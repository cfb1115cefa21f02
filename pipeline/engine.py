"""DuckDB connections for computation: in memory, bounded, in UTC, without the network.

Each connection spills into a folder of its own, because two processes that share one overwrite each other's files.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pipeline.settings import Settings


@contextmanager
def scratch_folder(settings: Settings) -> Iterator[Path]:
    """Make a folder for one piece of work and remove it at the end, and those of processes that were killed."""
    settings.spill.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(settings.spill)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=settings.spill))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def duckdb_engine(settings: Settings, scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory DuckDB with the settings' memory limit and threads, spilling below `scratch`."""
    with duckdb.connect(
        ":memory:",
        config={
            "memory_limit": settings.duckdb_memory,
            "threads": settings.duckdb_threads,
            "temp_directory": str(scratch / "duckdb"),
            "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        },
    ) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def _remove_abandoned(spill: Path) -> None:
    """Remove the spill folders of processes that were killed."""
    for folder in spill.iterdir():
        pid = folder.name.partition("-")[0]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
