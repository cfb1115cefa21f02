"""The `tidemark` script needs nothing but a Python: it makes its environment, keeps it fresh, and runs the commands."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.virtual_environment import InstallationError, install
from pipeline.settings import REPOSITORY
from tests.cli.accounts import as_root, system_python

COMMAND = """
import os, sys
import greeting
print(greeting.TEXT, sys.argv[1:], os.getcwd(), sys.prefix)
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in a folder with a space, with a tiny command line and no dependency to install."""
    clone = tmp_path / "a clone"
    (clone / "cli").mkdir(parents=True)
    for name in ("tidemark", "cli/__init__.py", "cli/virtual_environment.py"):
        shutil.copy(REPOSITORY / name, clone / name)
    (clone / "cli/__main__.py").write_text(COMMAND)
    (clone / "greeting.py").write_text("TEXT = 'hello'\n")
    (clone / "requirements.lock").write_text("# nothing to install\n")
    return clone


def run(
    clone: Path, *arguments: str, cwd: Path | str = "/", program: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program or clone / "tidemark", *arguments],
        cwd=cwd, env={**os.environ, "TIDEMARK_PYTHON": sys.executable, "PIP_NO_INDEX": "1", **environment},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_the_environment_is_made_once_and_again_when_the_lock_changes(clone: Path, tmp_path: Path) -> None:
    first = run(clone, "a b", "--c")
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip() == f"hello ['a b', '--c'] / {clone / '.venv'}"
    assert "Installing Tidemark's 0 dependencies" in first.stderr

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("greeting.py", "cli.py", "json.py"):
        (elsewhere / name).write_text("raise SystemExit('the folder it was called from was imported')\n")
    link = elsewhere / "link"
    link.symlink_to(clone / "tidemark")
    before = sorted(elsewhere.iterdir())
    second = run(clone, cwd=elsewhere, program=link)
    assert second.stdout.strip() == f"hello [] {elsewhere} {clone / '.venv'}"
    assert second.stderr == "", "nothing is installed a second time"
    assert sorted(elsewhere.iterdir()) == before, "nothing is written to where it is called from"

    (clone / "requirements.lock").write_text("# changed\n")
    assert "Installing" in run(clone).stderr
    assert run(clone).stderr == ""


def test_an_interrupted_installation_is_made_anew(clone: Path) -> None:
    environment = clone / ".venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    (environment / "tidemark.unfinished").touch()
    (environment / "half a package").touch()
    assert run(clone).stdout.startswith("hello")
    assert not (environment / "half a package").exists()


def test_two_starts_at_once_install_once(clone: Path) -> None:
    command = [clone / "tidemark"]
    environment = {**os.environ, "TIDEMARK_PYTHON": sys.executable, "PIP_NO_INDEX": "1"}
    starts = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(3)
    ]
    printed = [start.communicate(timeout=120) for start in starts]
    assert [start.returncode for start in starts] == [0, 0, 0], printed
    assert sum("Installing" in errors for _, errors in printed) == 1


def test_a_failed_installation_shows_why_and_is_tried_again(clone: Path) -> None:
    (clone / "requirements.lock").write_text(f"nosuch==1 --hash=sha256:{'0' * 64}\n")
    failed = run(clone)
    assert failed.returncode == 1
    assert "nosuch" in failed.stderr
    assert "tidemark: installing the dependencies failed (see above)" in failed.stderr
    (clone / "requirements.lock").write_text("# nothing to install\n")
    assert run(clone).returncode == 0


def test_an_unsupported_python_is_named(clone: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("cat", "cksum", "dirname", "readlink"):
        (tools / name).symlink_to(str(shutil.which(name)))
    old = tools / "python3"
    old.write_text("#!/bin/sh\necho 3.9\n")
    old.chmod(0o755)
    done = run(clone, TIDEMARK_PYTHON="", PATH=str(tools))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "tidemark: needs Python 3.11 to 3.14 (found: python3 is 3.9); install one" in done.stderr
    assert not (clone / ".venv").exists()
    chosen = run(clone, TIDEMARK_PYTHON=str(old), PATH=str(tools))
    assert chosen.returncode == 1
    assert f"TIDEMARK_PYTHON ({old}) is 3.9" in chosen.stderr
    old.unlink()
    none = run(clone, TIDEMARK_PYTHON="", PATH=str(tools))
    assert "(found: none)" in none.stderr


def test_a_python_without_ensurepip_uses_its_own_pip(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cli.virtual_environment.REPORT_SECONDS", 0.05)
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "ensurepip" else found(name))
    install(clone / ".venv", clone / "requirements.lock", "stamp")
    assert (clone / ".venv" / "tidemark.stamp").read_text() == "stamp\n"
    assert not (clone / ".venv" / "tidemark.unfinished").exists()
    reports = [line for line in capsys.readouterr().err.splitlines() if "still installing" in line]
    seconds = [float(line.split()[2]) for line in reports]
    assert seconds == sorted(set(seconds)) != [], "one clock for all commands: no moment is reported twice"


def test_a_python_without_pip_says_what_to_install(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InstallationError, match="apt install python3-venv"):
        install(clone / ".venv", clone / "requirements.lock", "stamp")


@as_root
def test_a_clone_that_may_not_be_written_says_so(clone: Path, open_folder: Path) -> None:
    python = system_python()
    if python is None:
        pytest.skip("no Python of this version outside folders that only root enters")
    nobody = pwd.getpwnam("nobody")
    open_clone = Path(shutil.copytree(clone, open_folder / "clone"))
    done = subprocess.run(
        [open_clone / "tidemark"], user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], cwd="/",
        env={"PATH": os.defpath, "TIDEMARK_PYTHON": python}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("tidemark: no permission to write ")
    assert "run as the owner of" in done.stderr
    assert done.stderr.count("\n") == 1
