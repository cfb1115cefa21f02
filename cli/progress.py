"""Progress on stderr, for everything that may take longer than two seconds.

On a terminal one line is rewritten in place; elsewhere (a log, a pipe) a line appears every few seconds, if it differs
from the one before.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

QUIET_SECONDS = 1.0
TERMINAL_INTERVAL_SECONDS = 0.2
LOG_INTERVAL_SECONDS = 5.0


class Progress:
    """Progress of one piece of work; shows nothing when the work ends within a second.

    Used as `progress = Progress("exporting"); progress.update(done, total); progress.done()`, or as a context manager
    that calls `done` at the end of a block that succeeded.
    """

    def __init__(self, label: str, unit: str = "rows") -> None:
        self._label = label
        self._unit = unit
        self._started = time.monotonic()
        self._shown_at = self._started + QUIET_SECONDS - TERMINAL_INTERVAL_SECONDS
        self._count: int | None = None
        self._visible = False
        self._said = ""
        self._interval = TERMINAL_INTERVAL_SECONDS

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.done()
        elif self._visible and sys.stderr.isatty():
            sys.stderr.write("\n")

    def update(self, done: int, total: int | None = None) -> None:
        """Report that `done` units are finished, of `total` if that is known."""
        self._count = done
        now = time.monotonic()
        if now - self._shown_at < self._interval:
            return
        said = f"{done:,} {self._unit}"
        if total:
            said = f"{done:,} of {total:,} {self._unit} ({min(done / total, 1):.0%})"
        if said == self._said:
            return
        self._shown_at = now
        self._said = said
        self._interval = TERMINAL_INTERVAL_SECONDS if sys.stderr.isatty() else LOG_INTERVAL_SECONDS
        self._show(f"{self._label}: {said}")

    def done(self) -> None:
        """Report the end of the work, with what was done and how long it took."""
        seconds = time.monotonic() - self._started
        if not self._visible and seconds < QUIET_SECONDS:
            return
        counted = "" if self._count is None else f" {self._count:,} {self._unit},"
        self._show(f"{self._label}:{counted} {seconds:.1f} s")
        if sys.stderr.isatty():
            sys.stderr.write("\n")

    def _show(self, text: str) -> None:
        self._visible = True
        sys.stderr.write(f"\r{text}\x1b[K" if sys.stderr.isatty() else f"{text}\n")
        sys.stderr.flush()


@contextmanager
def step(label: str) -> Iterator[None]:
    """Name a step that cannot count its progress (starting a process, waiting for it), and its seconds at the end."""
    started = time.monotonic()
    on_terminal = sys.stderr.isatty()
    sys.stderr.write(f"{label} ..." if on_terminal else f"{label} ...\n")
    sys.stderr.flush()
    try:
        yield
    except BaseException:
        sys.stderr.write("\n" if on_terminal else "")
        raise
    seconds = f"{time.monotonic() - started:.1f} s\n"
    sys.stderr.write(f" {seconds}" if on_terminal else f"{label}: {seconds}")
    sys.stderr.flush()
