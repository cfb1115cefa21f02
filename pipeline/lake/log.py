"""The log of a Delta table, entry by entry: what each version added, took away and noted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.lake.files import sync

Action = dict[str, dict[str, Any]]
LOG = "_delta_log"


def entry_path(table: Path, version: int) -> Path:
    """Return where the entry of a version lies, below the folder of its table."""
    return table / LOG / f"{version:020d}.json"


def read_entry(table: Path, version: int) -> list[Action]:
    """Return the actions of a version. Raises OSError when the entry is gone, ValueError when it is damaged."""
    text = entry_path(table, version).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line]


def sync_entry(table: Path, version: int) -> None:
    """Make a commit survive a loss of power: delta-rs renames the entry into place without fsync."""
    entry = entry_path(table, version)
    for path in (entry, entry.parent, table, table.parent):
        if path.exists():
            sync(path)
