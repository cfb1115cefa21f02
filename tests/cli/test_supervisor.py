"""A supervisor stops everything it started, however it is asked to, and heals what a kill -9 left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli.child_process import Child
from cli.process_records import MARK, ProcessRecords
from cli.stop_signals import StopSignals
from cli.supervisor import Supervisor, SupervisorError
from pipeline.settings import REPOSITORY
from tests.cli.processes import marked_processes
from tests.waiting import wait_until

PROGRAM = [sys.executable, str(Path(__file__).with_name("supervised_system.py"))]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
STARTED: list[subprocess.Popen[bytes]] = []


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.wait()
    for left in marked_processes(tmp_path / "run"):
        left.kill()


def start(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    (folder / "ready").unlink(missing_ok=True)
    process = subprocess.Popen([*PROGRAM, str(folder), *options], env=ENVIRONMENT, start_new_session=True)
    STARTED.append(process)
    wait_until((folder / "ready").exists, "the system is ready")
    wait_until(lambda: len(marked_processes(folder / "run")) == 3, "two children and a grandchild run")
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_process(folder: Path, number: int) -> None:
    process = start(folder)
    process.send_signal(number)
    assert process.wait(timeout=60) == 0
    assert (folder / "stopped").exists()
    assert marked_processes(folder / "run") == []


def test_an_interrupt_stops_it_although_a_script_started_it_in_the_background(folder: Path) -> None:
    pid = folder / "pid"
    script = f'"$@" & echo $! > "{pid}"'  # not interactive: the shell starts it with SIGINT ignored
    subprocess.run(["/bin/sh", "-c", script, "sh", *PROGRAM, str(folder)], env=ENVIRONMENT, check=True)
    wait_until((folder / "ready").exists, "the system is ready")
    os.kill(int(pid.read_text()), signal.SIGINT)
    wait_until((folder / "stopped").exists, "the system has stopped")
    assert marked_processes(folder / "run") == []


def test_after_kill_9_the_next_start_stops_the_leftovers_and_works(folder: Path) -> None:
    process = start(folder)
    before = {one.pid for one in marked_processes(folder / "run")}
    process.kill()
    process.wait()
    process = start(folder)
    now = {one.pid for one in marked_processes(folder / "run")}
    assert not before & now
    process.terminate()
    process.wait(timeout=60)
    assert marked_processes(folder / "run") == []


def test_a_crashed_child_is_started_again(folder: Path) -> None:
    process = start(folder, "crash")
    wait_until(lambda: "crashed as asked" in (folder / "logs/back.log").read_text(), "the child has crashed")
    wait_until(lambda: len(marked_processes(folder / "run")) == 3, "the child runs again")
    process.terminate()
    assert process.wait(timeout=60) == 0


def test_the_children_of_a_killed_child_go_before_it_starts_again(folder: Path) -> None:
    process = start(folder)
    (front,) = [one for one in marked_processes(folder / "run") if one.children()]
    (grandchild,) = front.children()
    front.kill()
    wait_until(lambda: not grandchild.is_running(), "the old grandchild is gone")
    wait_until(lambda: len(marked_processes(folder / "run")) == 3, "the child runs again")
    process.terminate()
    process.wait(timeout=60)


def test_a_second_signal_does_not_wait_for_a_child_that_ignores_the_first(tmp_path: Path) -> None:
    ready = tmp_path / "up"
    stubborn = (
        "import pathlib, signal, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pathlib.Path(sys.argv[1]).touch()\nwhile True: signal.pause()"
    )
    signals = StopSignals()
    supervisor = Supervisor(ProcessRecords(tmp_path / "run"), tmp_path / "logs", signals)
    command = (sys.executable, "-c", stubborn, str(ready))
    supervisor.start_stage([Child("stubborn", command, is_ready=ready.exists, stop_seconds=3_600)])
    signals.hurry = True
    supervisor.stop()
    assert marked_processes(tmp_path / "run") == []


def test_a_child_that_never_starts_ends_the_start_with_its_last_words(tmp_path: Path) -> None:
    supervisor = Supervisor(ProcessRecords(tmp_path / "run"), tmp_path / "logs", StopSignals())
    child = Child("api", (sys.executable, "-c", "raise SystemExit('no module named api')"), is_ready=lambda: False)
    with pytest.raises(SupervisorError, match=r"api does not start: no module named api \(log: .*api\.log\)"):
        supervisor.start_stage([child])
    supervisor.stop()


def test_a_recorded_pid_that_belongs_to_another_program_by_now_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        records = ProcessRecords(tmp_path)
        created = psutil.Process(stranger.pid).create_time() - 3_600
        (tmp_path / "api.process.json").write_text(f'{{"pid": {stranger.pid}, "created": {created}}}')
        (tmp_path / "cut.process.json").write_text('{"pid": 1')
        assert records.stop_leftovers() == []
        assert stranger.poll() is None
        assert list(tmp_path.glob("*.process.json")) == []
    finally:
        stranger.kill()
        stranger.wait()


def test_children_get_the_default_signals_and_the_mark(tmp_path: Path) -> None:
    report = tmp_path / "report"
    program = (
        "import os, pathlib, signal, sys\n"
        f"values = [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP), os.environ[{MARK!r}]]\n"
        "pathlib.Path(sys.argv[1]).write_text(repr(values))\nwhile True: signal.pause()"
    )
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    supervisor = Supervisor(ProcessRecords(tmp_path / "run"), tmp_path / "logs", StopSignals())
    try:
        child = Child("child", (sys.executable, "-c", program, str(report)), is_ready=report.exists)
        supervisor.start_stage([child])
    finally:
        signal.signal(signal.SIGHUP, before)
        supervisor.stop()
    assert report.read_text().count("SIG_DFL") == 2
    assert str(tmp_path / "run") in report.read_text()
