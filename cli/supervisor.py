"""Keeps a set of child processes running: starts them in stages, restarts what crashes, stops all of them.

Knows nothing of what the children do. A thread watches them; starting and stopping are the caller's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cli.child_process import Child, ChildProcess
from cli.output import print_line
from cli.process_records import ProcessRecords
from cli.stop_signals import StopSignals

WATCH_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
START_ATTEMPTS = 3


class SupervisorError(Exception):
    """A child process does not start."""


@dataclass
class _Slot:
    """One child and its fate so far."""

    child: Child
    process: ChildProcess | None = None
    started_at: float = 0.0
    crashes: int = 0  # in a row, without a healthy minute between them
    start_again_at: float | None = None


class Supervisor:
    """Runs the children given to `start_stage`, until `stop`.

    `records` remembers the processes for a successor, `logs` is the folder of their output (None: our own output),
    `signals` tells when a stop should hurry, and `on_watch` is called by the watching thread in every round.
    """

    def __init__(
        self,
        records: ProcessRecords,
        logs: Path | None,
        signals: StopSignals,
        on_watch: Callable[[], None] = lambda: None,
    ) -> None:
        self._records = records
        self._logs = logs
        self._signals = signals
        self._on_watch = on_watch
        self._stages: list[list[_Slot]] = []
        self._lock = threading.Lock()
        self._stopping = False
        self._ended = threading.Event()
        # Children die with the thread that started them (see child_launcher): this one ends last.
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start_stage(self, children: Sequence[Child], seconds: float = 120.0) -> None:
        """Start children and wait until all of them are ready.

        The first stage is what people talk to: it is stopped first, the other stages after it together.
        Raises SupervisorError, with the child's last words, when one crashes repeatedly or is not ready in time.
        """
        slots = [_Slot(replace(child, environment={**child.environment, **self._records.mark})) for child in children]
        with self._lock:
            self._stages.append(slots)
        if not self._watcher.is_alive():
            self._watcher.start()
        for slot in slots:
            with self._signals.deferred(), self._lock:
                self._start(slot)
        deadline = time.monotonic() + seconds
        for slot in slots:
            self._wait_until_ready(slot, deadline)

    def pids(self) -> dict[str, int]:
        """Return the process id of each running child, by name."""
        with self._lock:
            return {
                slot.child.name: slot.process.pid
                for stage in self._stages
                for slot in stage
                if slot.process is not None and slot.process.exit_code() is None
            }

    def stop(self) -> None:
        """Stop all children, and whatever they left behind; the first stage first. Idempotent."""
        with self._signals.deferred():
            with self._lock:
                self._stopping = True
            for stage in (self._stages[:1], self._stages[1:]):
                _stop_together([slot.process for slots in stage for slot in slots if slot.process], self._signals)
            self._records.stop_leftovers(seconds=1.0)
            self._ended.set()
            if self._watcher.is_alive():
                self._watcher.join()

    def _wait_until_ready(self, slot: _Slot, deadline: float) -> None:
        name = slot.child.name
        while True:
            running = slot.process is not None and slot.process.exit_code() is None
            if running and slot.child.is_ready():
                return
            if slot.crashes >= START_ATTEMPTS:
                raise SupervisorError(f"{name} does not start: {self._last_words(name)}")
            if time.monotonic() > deadline:
                raise SupervisorError(f"{name} is not ready in time: {self._last_words(name)}")
            time.sleep(0.05)

    def _watch(self) -> None:
        while not self._ended.wait(WATCH_SECONDS):
            with self._lock:
                if self._stopping:
                    continue
                for stage in self._stages:
                    for slot in stage:
                        self._look_after(slot)
            if not self._stopping:
                try:
                    self._on_watch()
                except Exception as error:
                    print_line(f"tidemark: {error}")

    def _look_after(self, slot: _Slot) -> None:
        now = time.monotonic()
        if slot.start_again_at is not None:
            if now >= slot.start_again_at:
                self._start(slot)
            return
        code = None if slot.process is None else slot.process.exit_code()
        if slot.process is None or code is None:
            return
        slot.process.kill()  # its own children, which would hold its port
        if now - slot.started_at >= HEALTHY_SECONDS:
            slot.crashes = 0
        pause = min(2.0**slot.crashes, LONGEST_PAUSE_SECONDS)
        slot.crashes += 1
        slot.start_again_at = now + pause
        print_line(
            f"tidemark: {slot.child.name} ended ({_how(code)}), starting again in {pause:.0f} s:"
            f" {self._last_words(slot.child.name)}"
        )

    def _start(self, slot: _Slot) -> None:
        slot.start_again_at = None
        slot.started_at = time.monotonic()
        slot.process = ChildProcess(slot.child, self._log(slot.child.name))
        self._records.add(slot.child.name, slot.process.pid)

    def _log(self, name: str) -> Path | None:
        return None if self._logs is None else self._logs / f"{name}.log"

    def _last_words(self, name: str) -> str:
        log = self._log(name)
        if log is None or not log.exists():
            return "see its output above"
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4_000))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        return f"{lines[-1] if lines else 'it printed nothing'} (log: {log})"


def _stop_together(processes: Sequence[ChildProcess], signals: StopSignals) -> None:
    started = time.monotonic()
    for process in processes:
        process.terminate()
    for process in processes:
        while process.exit_code() is None and not signals.hurry:
            if time.monotonic() - started > process.child.stop_seconds:
                break
            time.sleep(0.02)
        process.kill()


def _how(code: int) -> str:
    return f"by signal {-code}" if code < 0 else f"exit code {code}"
