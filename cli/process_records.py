"""Remembers which processes a supervisor started, so that its successor can stop what a kill -9 left behind.

A process counts as ours when its pid and creation time are those recorded (a pid alone may belong to another program
by now), or when it carries our mark in its environment, as every descendant of a child does.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

MARK = "TIDEMARK_SUPERVISED_BY"
CLOCK_TOLERANCE_SECONDS = 2.0  # creation times are derived from the boot time, which clock corrections move
STOP_SECONDS = 8.0


class ProcessRecords:
    """The records of one supervisor, one file for each child in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def mark(self) -> dict[str, str]:
        """What children must have in their environment."""
        return {MARK: str(self._folder)}

    def add(self, name: str, pid: int) -> None:
        """Record the child `name`, just started; replaces an older record of that name."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(psutil.NoSuchProcess):
            record = {"pid": pid, "created": psutil.Process(pid).create_time()}
            path = self._folder / f"{name}.process.json"
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(record))
            fresh.replace(path)

    def stop_leftovers(self, seconds: float = STOP_SECONDS) -> list[int]:
        """Stop every process of ours that still runs, forget the records, and return the pids stopped.

        Asks politely first and kills after `seconds`. Idempotent.
        """
        leftovers = list(self._leftovers())
        for process in leftovers:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.terminate()
        _, alive = psutil.wait_procs(leftovers, timeout=seconds)
        # What they started meanwhile carries the mark too.
        for process in {*alive, *self._leftovers()}:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.kill()
        psutil.wait_procs(alive, timeout=seconds)
        for path in self._folder.glob("*.process.json"):
            path.unlink()
        return [process.pid for process in leftovers]

    def _leftovers(self) -> Iterator[psutil.Process]:
        recorded = dict(self._recorded())
        for process in psutil.process_iter():
            if process.pid == os.getpid():
                continue
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                created = recorded.get(process.pid)
                same = created is not None and abs(process.create_time() - created) < CLOCK_TOLERANCE_SECONDS
                if same or process.environ().get(MARK) == str(self._folder):
                    yield process

    def _recorded(self) -> Iterator[tuple[int, float]]:
        for path in self._folder.glob("*.process.json"):
            with contextlib.suppress(ValueError, KeyError):  # cut off by a full disk
                record = json.loads(path.read_text())
                yield int(record["pid"]), float(record["created"])
