"""Commits finished files to the lake's table: one new version, tied to the version its writer had read.

A commit carries app transactions (name and number). When another writer committed one of the same name since `table`
was opened, the commit is refused; commits of other kinds do not disturb it. Whatever takes files out of the table
carries REWRITE for that: delta-rs itself lets two writers replace one file, and its rows would be there twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from pipeline.lake.files import NewFile
from pipeline.lake.log import sync_entry
from pipeline.lake.schema import PARTITION_COLUMN, TABLE_SCHEMA
from pipeline.lake.table import Lake, LakeError, LakeFile

REWRITE = "rewrite"


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
    numbers = {**transactions, REWRITE: next_rewrite(table)} if replace and table is not None else transactions
    properties = _properties(numbers)
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
        raise _refused(lake, error) from error
    if lake.folder is not None:
        sync_entry(lake.folder, version)
    return version


def commit_rewrite(
    lake: Lake, table: DeltaTable, old: Sequence[LakeFile], new: Sequence[NewFile], *, data_change: bool
) -> int:
    """Put new files in the place of old ones in one commit and return the new version.

    `data_change` false promises that the rows are the same: incremental readers pass over the commit. Exports that
    commit meanwhile are not disturbed. Raises LakeError when another rewrite was faster; nothing has changed then.
    """
    now = time.time_ns() // 1_000_000
    prefix = f"{lake.location}/"
    removed = [
        RemoveAction(
            path=quote(file.path.removeprefix(prefix), safe="/="),
            data_change=data_change,
            deletion_timestamp=now,
            size=file.size,
            partition_values={PARTITION_COLUMN: file.day.isoformat()},
        )
        for file in old
    ]
    added = [_action(file, data_change=data_change) for file in new]
    try:
        table.create_write_transaction(
            [*added, *removed],
            "append",
            TABLE_SCHEMA,
            [PARTITION_COLUMN],
            commit_properties=_properties({REWRITE: next_rewrite(table)}),
        )
        table.update_incremental()
    except (CommitFailedError, DeltaError) as error:
        raise _refused(lake, error) from error
    if lake.folder is not None:
        sync_entry(lake.folder, table.version())
    return table.version()


def next_rewrite(table: DeltaTable) -> int:
    """Return the number of the table's next rewrite, for a commit that is tied to the version it is open at."""
    return (table.transaction_version(REWRITE) or 0) + 1


def _properties(transactions: Mapping[str, int]) -> CommitProperties:
    return CommitProperties(app_transactions=[Transaction(name, number) for name, number in transactions.items()])


def _refused(lake: Lake, error: Exception) -> LakeError:
    return LakeError(f"the commit to {lake.location} was refused ({error}); nothing changed, run it again")


def _action(file: NewFile, *, data_change: bool = True) -> AddAction:
    # No ranges of values: for a column that has none, where another has, delta-rs tells pyarrow that all is null, and a
    # filter on it silently finds nothing. Days narrow a query down, and Parquet's own statistics do the rest.
    return AddAction(
        path=file.path,
        size=file.size,
        partition_values={PARTITION_COLUMN: file.day.isoformat()},
        modification_time=time.time_ns() // 1_000_000,
        data_change=data_change,
        stats=json.dumps({"numRecords": file.rows}),
    )
