"""Which processes of a supervisor live."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

from cli.process_records import MARK


def marked_processes(run: Path) -> list[psutil.Process]:
    """The living processes that carry the mark of the supervisor with the folder `run`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == str(run):
                found.append(process)
    return found
