"""A tiny supervised system for tests: `python supervised_system.py FOLDER [crash]` runs until a signal.

Two children: `front`, which itself has a child, and `back`, which with `crash` ends right after its start, once.
Prints `ready` when all run, `stopped` after an orderly stop.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cli.child_process import Child
from cli.process_records import ProcessRecords
from cli.stop_signals import StopRequested, StopSignals
from cli.supervisor import Supervisor

SLEEP = "import time\nwhile True: time.sleep(60)"
FRONT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {SLEEP!r}])"
BACK = f"""
import pathlib, sys
once = pathlib.Path(sys.argv[1])
if once.exists():
    once.unlink()
    sys.exit('crashed as asked')
{SLEEP}
"""


def main(folder: Path, crash: bool) -> None:
    once = folder / "crash"
    if crash:
        once.touch()
    environment = dict(os.environ)
    records = ProcessRecords(folder / "run")
    with StopSignals() as signals:
        stopped = records.stop_leftovers()
        supervisor = Supervisor(records, folder / "logs", signals)
        try:
            front = Child("front", (sys.executable, "-c", FRONT), environment, stop_seconds=3)
            back = Child("back", (sys.executable, "-c", BACK, str(once)), environment, stop_seconds=3)
            supervisor.start_stage([front])
            supervisor.start_stage([back])
            (folder / "ready").write_text(f"{len(stopped)}\n")
            signals.wait()
        except StopRequested:
            pass
        finally:
            supervisor.stop()
    (folder / "stopped").touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] == ["crash"])
