"""The code is formatted, lint-free and typed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline.settings import REPOSITORY


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "--no-cache", "."], ["ruff", "format", "--no-cache", "--check", "."], ["mypy"]],
    ids=lambda command: " ".join(command[:2]),
)
def test_is_clean(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
