"""Recorded parameters and tables as JSON, and back.

Lists of files become ranges of positions in the run's own list: hundreds of files in a row take two numbers.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

Json = Any
SCRATCH_LIMIT = 100_000


def is_paths(value: object) -> bool:
    """Say whether a parameter is a list of files."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(part, str) for part in value)
        and all(part.startswith("/") and part.endswith(".parquet") for part in value)
    )


def encode(value: Any, positions: Mapping[str, int]) -> Json:  # noqa: ANN401 - any parameter
    """Return a parameter as JSON. `positions` are the run's files; other files are small, and kept themselves."""
    if is_paths(value):
        return {
            "files": _ranges([positions[path] for path in value if path in positions]),
            "scratch": [_scratch(Path(path)) for path in value if path not in positions],
        }
    if isinstance(value, datetime):
        return {"at": value.astimezone(UTC).isoformat()}
    if isinstance(value, date):
        return {"day": value.isoformat()}
    if isinstance(value, Mapping):
        return {"fields": {key: encode(part, positions) for key, part in value.items()}}
    if isinstance(value, (list, tuple)):
        return [encode(part, positions) for part in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"a parameter of type {type(value).__name__} cannot be recorded")


def decode(value: Json, files: Sequence[Sequence[str]], scratch: Path) -> Any:  # noqa: ANN401 - any parameter
    """Return a parameter as it was. `files` are the paths that stand for each of the run's files; may be several."""
    if isinstance(value, list):
        return [decode(part, files, scratch) for part in value]
    if not isinstance(value, dict):
        return value
    if "files" in value:
        chosen = [
            path for first, last in value["files"] for position in range(first, last + 1) for path in files[position]
        ]
        return list(dict.fromkeys(chosen)) + [_restored(part, scratch) for part in value["scratch"]]
    if "at" in value:
        return datetime.fromisoformat(value["at"])
    if "day" in value:
        return date.fromisoformat(value["day"])
    return {key: decode(part, files, scratch) for key, part in value["fields"].items()}


def table_to_text(table: pa.Table) -> str:
    """Return a small table as text."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue()).decode()


def table_from_text(text: str) -> pa.Table:
    """Return the table that `table_to_text` was given."""
    with pa.ipc.open_stream(base64.b64decode(text)) as reader:
        return reader.read_all()


def _ranges(positions: Sequence[int]) -> list[list[int]]:
    """Return positions as [first, last] pairs of unbroken ranges, in the order given."""
    ranges: list[list[int]] = []
    for position in positions:
        if ranges and ranges[-1][1] + 1 == position:
            ranges[-1][1] = position
        else:
            ranges.append([position, position])
    return ranges


def _scratch(path: Path) -> dict[str, str]:
    content = path.read_bytes()
    if len(content) > SCRATCH_LIMIT:
        raise ValueError(f"{path} is no file of the lake, and too big to be recorded")
    # The folder's name is a partition value to whoever reads the file.
    return {"name": f"{path.parent.name}/{path.name}", "content": base64.b64encode(content).decode()}


def _restored(part: Mapping[str, str], scratch: Path) -> str:
    path = scratch / part["name"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(part["content"]))
    return str(path)
