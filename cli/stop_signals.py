"""Requests to stop (Ctrl-C, SIGTERM, a closed terminal) as one exception that unwinds what was started.

Installed explicitly: a process started in the background by a script inherits SIGINT as ignored, and would otherwise
never stop at Ctrl-C. SIGHUP stays ignored when it was ignored at the start, as `nohup` wants.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(BaseException):
    """Somebody asked this process to stop, by signal `number`; no `except Exception` may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """The exit code by which shells know an end by this signal."""
        return 128 + self.number


class StopSignals:
    """Handlers for a block: the first signal raises StopRequested in the main thread, later ones set `hurry`.

    Inside `deferred()` the first signal waits for the end of the inner block, so that a process that is just being
    started is recorded before anything unwinds.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self.hurry = False
        self._held = 0
        self._pending = False
        self._previous: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> StopSignals:
        for number in SIGNALS:
            current = signal.getsignal(number)
            if number == signal.SIGHUP and current == signal.SIG_IGN:
                continue
            self._previous[number] = current
            signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def wait(self) -> None:
        """Wait for a signal; raises StopRequested."""
        while True:
            signal.pause()

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Hold back StopRequested until the block ends."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if self._pending and not self._held:
                self._pending = False
                raise StopRequested(self.requested or signal.SIGTERM)

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.requested is not None:
            self.hurry = True
            return
        self.requested = number
        if self._held:
            self._pending = True
            return
        raise StopRequested(number)
