"""One supervised child: how it is started, watched, logged and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from cli import child_launcher

LOG_LIMIT_BYTES = 10_000_000


def always() -> bool:
    """Readiness of a child that has no sign of it beyond running."""
    return True


@dataclass(frozen=True)
class Child:
    """What to run: a command, its environment, how to see that it is ready, and how long it may take to stop."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    folder: Path = Path("/")
    is_ready: Callable[[], bool] = always
    stop_seconds: float = 10.0


class ChildProcess:
    """A running child, in a session and process group of its own, with its output in `log` (None: ours)."""

    def __init__(self, child: Child, log: Path | None) -> None:
        self.child = child
        with contextlib.ExitStack() as files:
            output = None if log is None else files.enter_context(_opened(log))
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", child_launcher.__file__, str(os.getpid()), *child.command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                cwd=child.folder,
                env=dict(child.environment),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id; also the id of the child's process group."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return the exit code once the child has ended, negative for a signal; None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask the child to stop; it stops its own children itself."""
        if self.exit_code() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End what is left of the child's process group, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def _opened(log: Path) -> BinaryIO:
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))
    return log.open("ab")
