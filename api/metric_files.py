"""The files in which the processes of one API count, so that each of them can show the sum of all.

PROMETHEUS_MULTIPROC_DIR names their folder: whoever starts the API sets it and empties the folder first. Without it a
process counts in memory and shows its own numbers alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import psutil
from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# The library's files by kind of metric, each of which begins with this many bytes.
FILE_BYTES: Mapping[str, int] = {
    "counter": 2**16,
    "histogram": 2**18,
    "gauge_livesum": 2**16,
    "gauge_livemax": 2**16,
    "gauge_livemin": 2**16,
}


def metrics_folder() -> Path | None:
    """Return the folder of this process and its siblings, None when it counts in memory."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return Path(folder) if folder else None


def reserve_files() -> None:
    """Write this process's files in full before they are used; without the room for them, count in memory.

    They are memory-mapped: on a full disk, touching a page that has no block yet would end the process.
    """
    folder = metrics_folder()
    if folder is None:
        os.environ.pop(FOLDER_VARIABLE, None)
        return
    files = {folder / f"{kind}_{os.getpid()}.db": size for kind, size in FILE_BYTES.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, size in files.items():
            # A process of the same number may have counted here before: what it counted stays.
            if not path.exists() or path.stat().st_size < size:
                path.write_bytes(bytes(size))
    except OSError:
        for path in files:
            path.unlink(missing_ok=True)
        os.environ.pop(FOLDER_VARIABLE)


class AllProcesses:
    """Collects the numbers of all processes that count in a folder; those of dead ones without their gauges."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Return the sums as of now."""
        for path in self._folder.glob("gauge_live*.db"):
            if not psutil.pid_exists(int(path.stem.rsplit("_", 1)[1])):
                path.unlink(missing_ok=True)
        merge: Callable[[list[str]], Iterable[Metric]] = MultiProcessCollector.merge
        return merge([str(path) for path in self._folder.glob("*.db") if path.stat().st_size])
