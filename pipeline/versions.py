"""What computes here: the versions of the engines, and the commit of the code when it is a git checkout."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version

from pipeline.settings import REPOSITORY

ENGINES = ("duckdb", "deltalake", "pyarrow")


@cache
def engine_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that read and compute."""
    return {"python": platform.python_version(), **{name: version(name) for name in ENGINES}}


@cache
def code_commit() -> str | None:
    """Return the checkout's commit, with `-dirty` when files differ from it; None without git or a checkout."""
    if not (REPOSITORY / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            cwd=REPOSITORY, env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True, text=True, check=False, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
