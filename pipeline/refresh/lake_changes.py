"""What was added to the lake between two versions, read from the table's log."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from pipeline.lake.log import Action, read_entry
from pipeline.lake.table import Lake


class UnknownChangesError(Exception):
    """The log does not tell: entries are gone, or rows were taken away. Whoever asks has to look at everything."""


def added_files(lake: Lake, after: int, upto: int) -> list[str]:
    """Return the files whose rows came with the versions after `after` (-1: the beginning) up to `upto`.

    Files that were only rewritten, as by a compaction, are not among them. Raises UnknownChangesError.
    """
    added: list[str] = []
    for version in range(after + 1, upto + 1):
        for action in _actions(lake, version):
            if "remove" in action and action["remove"].get("dataChange", True):
                raise UnknownChangesError(f"version {version} of the lake took rows away")
            if "add" in action and action["add"].get("dataChange", True):
                added.append(str(action["add"]["path"]))
    paths = [f"{lake.location}/{unquote(path)}" for path in added]
    gone = [path for path in paths if not Path(path).is_file()]
    if gone:
        raise UnknownChangesError(f"{gone[0]} was removed")
    return paths


def _actions(lake: Lake, version: int) -> list[Action]:
    try:
        return read_entry(Path(lake.location), version)
    except OSError as error:
        raise UnknownChangesError(f"the log of version {version} cannot be read: {error}") from error
