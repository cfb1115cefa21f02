"""Commits finished files to the lake's table: one new version, tied to the version its writer had read.

A commit carries app transactions (name and number). When another writer committed one of the same name since `table`
was opened, the commit is refused; commits of other kinds, such as a compaction, do not disturb it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, create_table_with_add_actions

from pipeline.lake import Lake, LakeError
from pipeline.lake_files import NewFile, sync
from pipeline.lake_schema import PARTITION_COLUMN, TABLE_SCHEMA


def commit(
    lake: Lake,
    table: DeltaTable | None,
    files: Sequence[NewFile],
    transactions: Mapping[str, int],
    *,
    replace: bool = False,
) -> int:
    """Add files in one commit (with `replace`, instead of all others) and return the new version.

    `table` None makes the table and commits its first version in one step. Raises LakeError when another writer was
    faster; nothing has changed then.
    """
    actions = [_action(file) for file in files]
    properties = CommitProperties(app_transactions=[Transaction(name, number) for name, number in transactions.items()])
    try:
        if table is None:
            create_table_with_add_actions(
                lake.location,
                TABLE_SCHEMA,
                actions,
                mode="error",
                partition_by=[PARTITION_COLUMN],
                commit_properties=properties,
            )
            version = 0
        else:
            table.create_write_transaction(
                [*actions],
                "overwrite" if replace else "append",
                TABLE_SCHEMA,
                [PARTITION_COLUMN],
                commit_properties=properties,
            )
            table.update_incremental()
            version = table.version()
    except (CommitFailedError, DeltaError) as error:
        raise LakeError(
            f"the commit to {lake.location} was refused ({error}); nothing changed, run it again"
        ) from error
    if lake.folder is not None:
        _sync_log(lake.folder / "_delta_log", version)
    return version


def _action(file: NewFile) -> AddAction:
    # No ranges of values: for a column that has none, where another has, delta-rs tells pyarrow that all is null, and a
    # filter on it silently finds nothing. Days narrow a query down, and Parquet's own statistics do the rest.
    return AddAction(
        path=file.path,
        size=file.size,
        partition_values={PARTITION_COLUMN: file.day.isoformat()},
        modification_time=time.time_ns() // 1_000_000,
        data_change=True,
        stats=json.dumps({"numRecords": file.rows}),
    )


def _sync_log(log: Path, version: int) -> None:
    # delta-rs renames a log entry into place without fsync.
    entry = log / f"{version:020d}.json"
    for path in (entry, log, log.parent):
        if path.exists():
            sync(path)
