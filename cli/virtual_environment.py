"""Makes the virtual environment that Tidemark runs in; the `tidemark` script runs this with a bare Python.

Uses the standard library alone. Safe when two start at once, and after an interruption: what was not finished is made
again. The stamp, written last, says what the environment was made of; the script compares it at every start.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TextIO

STAMP = "tidemark.stamp"
UNFINISHED = "tidemark.unfinished"
REPORT_SECONDS = 10


class InstallationError(Exception):
    """The virtual environment could not be made."""


def install(environment: Path, lock: Path, stamp: str) -> None:
    """Make `environment` from the pinned and hashed requirements of `lock`, unless its stamp says that it is made.

    Raises InstallationError with what to do.
    """
    try:
        # Beside the environment, not in it: making it anew clears it.
        with environment.with_name(f"{environment.name}.lock").open("w") as held:
            _wait_for_turn(held)
            if not _is_current(environment, stamp):
                started = time.monotonic()
                _make(environment, lock, started)
                _pip(environment, lock, started)
                (environment / STAMP).write_text(f"{stamp}\n")
                (environment / UNFINISHED).unlink()
    except PermissionError as error:
        raise InstallationError(
            f"no permission to write {error.filename}; run as the owner of {environment.parent}, or use a copy of your"
            " own"
        ) from None
    except OSError as error:
        raise InstallationError(f"{error.strerror} ({error.filename or environment})") from None


def _wait_for_turn(held: TextIO) -> None:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say("Waiting for another start of Tidemark, which installs the dependencies ...")
        fcntl.flock(held, fcntl.LOCK_EX)


def _is_current(environment: Path, stamp: str) -> bool:
    path = environment / STAMP
    return path.exists() and path.read_text().strip() == stamp and (environment / "bin" / "python").exists()


def _make(environment: Path, lock: Path, started: float) -> None:
    """Make an empty environment, or keep one of the same Python whose packages only need an update."""
    size = sum(line[0].isalpha() for line in lock.read_text(encoding="utf-8").splitlines() if line)
    _say(f"Installing Tidemark's {size} dependencies (once, about a minute) ...")
    (environment / STAMP).unlink(missing_ok=True)
    kept = _version_of(environment) == sys.version_info[:2] and not (environment / UNFINISHED).exists()
    if not kept:
        if environment.exists():
            shutil.rmtree(environment)
        _run([sys.executable, "-m", "venv", "--without-pip", environment], started)
    (environment / UNFINISHED).touch()


def _pip(environment: Path, lock: Path, started: float) -> None:
    """Install the requirements, with this Python's own pip or the one that comes with it."""
    python = environment / "bin" / "python"
    if importlib.util.find_spec("ensurepip"):
        if not any(environment.glob("lib/python3*/site-packages/pip")):
            _run([python, "-m", "ensurepip", "--default-pip"], started)
        pip: list[str | Path] = [python, "-m", "pip"]
    elif importlib.util.find_spec("pip"):
        pip = [sys.executable, "-m", "pip", "--python", python]
    else:
        raise InstallationError(
            f"{sys.executable} has neither ensurepip nor pip; install them (on Debian and Ubuntu: apt install"
            " python3-venv), or name another Python in TIDEMARK_PYTHON"
        )
    _run(
        [
            *pip, "install", "--require-hashes", "--no-deps", "--no-input", "--disable-pip-version-check", "--quiet",
            "--requirement", lock,
        ],
        started,
    )  # fmt: skip


def _run(command: Sequence[str | Path], started: float) -> None:
    """Run a command silently, saying every ten seconds of the installation (`started`, monotonic) that it still runs.

    Show what it printed if it fails.
    """
    with tempfile.TemporaryFile() as output:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        for mark in count(1 + int((time.monotonic() - started) // REPORT_SECONDS)):
            try:
                code = process.wait(timeout=started + mark * REPORT_SECONDS - time.monotonic())
                break
            except subprocess.TimeoutExpired:
                _say(f"  still installing, {mark * REPORT_SECONDS} s")
            except BaseException:
                process.terminate()
                process.wait()
                raise
        if code != 0:
            output.seek(0)
            _say(output.read().decode(errors="replace").rstrip())
            raise InstallationError("installing the dependencies failed (see above); the next start tries again")


def _version_of(environment: Path) -> tuple[int, ...] | None:
    try:
        program = "import sys; print(*sys.version_info[:2])"
        printed = subprocess.check_output([environment / "bin" / "python", "-c", program], text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return tuple(int(number) for number in printed.split())


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        install(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    except InstallationError as error:
        sys.exit(f"tidemark: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
