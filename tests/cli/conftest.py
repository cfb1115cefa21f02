"""Fixtures of the command line's tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter, unlike pytest's own, with a space in its name."""
    folder = Path(tempfile.mkdtemp(prefix="tidemark test "))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
