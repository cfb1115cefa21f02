"""What commands print: JSON for programs on stdout, one clear line for people on stderr."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from datetime import date, datetime
from pathlib import Path
from uuid import UUID

from pipeline.clock import iso_millis


def print_json(value: object) -> None:
    """Print one JSON document on stdout: dataclasses as objects, days as YYYY-MM-DD, times as ISO 8601 in UTC.

    Raises TypeError for anything else that JSON cannot hold, so that no accidental text form becomes an interface.
    """
    sys.stdout.write(json.dumps(value, indent=2, default=_plain) + "\n")
    sys.stdout.flush()


def print_line(text: str = "") -> None:
    """Print one line for people on stderr, where it cannot mix with a command's JSON.

    A terminal that was closed meanwhile is no error: what was started must still be stopped.
    """
    with contextlib.suppress(OSError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, datetime):
        return iso_millis(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (Path, UUID)):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
