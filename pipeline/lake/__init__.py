"""The lake: a Delta table of events, partitioned by UTC day. `open_lake` is the way in for analysts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.lake.reader import LakeReader
    from pipeline.settings import Settings

__all__ = ["open_lake"]


def open_lake(where: Settings | Path | str | None = None) -> LakeReader:
    """Open the lake for reading with DuckDB, Polars or Arrow: see `pipeline.lake.reader.open_lake`."""
    from pipeline.lake import reader  # noqa: PLC0415 - loads engines that most parts of the program do without

    return reader.open_lake(where)
