"""The lock pins every dependency by version and hash, and names no place to download from."""

from __future__ import annotations

import re
import tomllib
from itertools import chain

from pipeline.settings import REPOSITORY

LOCK = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
HASHES = r"(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+"
ENTRIES = re.findall(rf"^([a-z0-9][a-z0-9._-]*)==(\S+)((?: ;[^\\\n]*)?) \\\n({HASHES})", LOCK, re.MULTILINE)


def test_every_line_belongs_to_a_pinned_dependency_with_hashes() -> None:
    covered = sum(1 + entry[3].count("\n") for entry in ENTRIES)
    assert covered == len(LOCK.splitlines())
    assert len(ENTRIES) > 100


def test_every_direct_dependency_is_locked() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[\[<>=,;]", requirement)[0].strip().lower() for requirement in wanted}
    assert names <= {entry[0] for entry in ENTRIES}


def test_numpy_is_not_installed() -> None:
    """pyarrow loads it where it is found, which costs every command 0.4 s and 20 MB."""
    assert not {"numpy", "pandas"} & {entry[0] for entry in ENTRIES}


def test_no_place_is_named() -> None:
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|file:", LOCK)
