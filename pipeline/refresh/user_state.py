"""The users state: what each user did by day, so that an increment need not look at the whole history.

A Delta table beside the events, `users` in the lake. Of each user it keeps the facts of every day with valid events
(first and last moment, moments of submitted sessions), each of which can be merged with those of events that come
later, and what the numbers of new users need: cohort day, active within 24 hours, sessions within 7 days, and so on.
Rows that were `added` hold rather than those written whole, and of several the latest. Each version says in its commit
which version of the events it includes and as of when; it can be rebuilt from them at any time. The statements of
sql/users read and make its rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError

from pipeline.lake.files import sync
from pipeline.lake.log import read_entry, sync_entry
from pipeline.lake.table import Lake, LakeError

# App transactions of a commit: the events' version, as_of in microseconds of the epoch, rows when last written whole.
EVENTS = "events"
AS_OF = "as_of"
WHOLE_ROWS = "whole_rows"
# Added rows are merged once there are as many as this share of those written whole, and this many.
MERGE_SHARE = 0.25
MERGE_ROWS = 100_000
# Rows are in order of cohort day: who looks for a few days reads their groups only.
GROUP_ROWS = 50_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MOMENT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        pa.field("tenant_id", pa.string()),
        pa.field("anonymous_user_id", pa.string()),
        pa.field("cohort_day", pa.date32()),
        pa.field("active_d1", pa.bool_()),
        pa.field("sessions_d7", pa.int64()),
        pa.field("converted", pa.bool_()),
        pa.field("returned_after", pa.list_(pa.int32())),
        pa.field("active_days", pa.list_(pa.date32())),
        pa.field("first_moments", pa.list_(MOMENT)),
        pa.field("last_moments", pa.list_(MOMENT)),
        pa.field("session_moments", pa.list_(MOMENT)),
        pa.field("received_at", MOMENT),
        pa.field("added", pa.bool_()),
        pa.field("events_version", pa.int64()),
        pa.field("as_of", MOMENT),
    ]
)
# No ranges of values in the log: they would keep the ids of people who are to be forgotten.
CONFIGURATION = {"delta.dataSkippingNumIndexedCols": "0"}


@dataclass(frozen=True)
class UserSnapshot:
    """A version of the state: its files, the version of the events it includes (-1: none), and as of when."""

    paths: tuple[str, ...]
    events_version: int
    as_of: datetime
    rows: int
    whole_rows: int

    @property
    def wants_merge(self) -> bool:
        """Whether so many rows were added that reading all of them costs too much."""
        return self.rows - self.whole_rows > max(MERGE_ROWS, MERGE_SHARE * self.whole_rows)


class UserState:
    """The state's table in a lake."""

    def __init__(self, lake: Lake) -> None:
        self.location = f"{lake.root}/users"

    def snapshot(self) -> UserSnapshot | None:
        """Return the newest version, None when there is none, or none that can be read: rebuild it then."""
        table = self._table()
        if table is None:
            return None
        numbers = {name: table.transaction_version(name) for name in (EVENTS, AS_OF, WHOLE_ROWS)}
        events, as_of, whole = (numbers[name] for name in (EVENTS, AS_OF, WHOLE_ROWS))
        if events is None or as_of is None or whole is None or not _is_ours(table):
            return None
        actions = pa.table(table.get_add_actions(flatten=True))
        paths = tuple(f"{self.location}/{unquote(path)}" for path in actions.column("path").to_pylist())
        if not all(Path(path).is_file() for path in paths):
            return None
        rows = sum(count or 0 for count in actions.column("num_records").to_pylist())
        return UserSnapshot(paths, events, EPOCH + as_of * MICROSECOND, rows, whole)

    def write(self, rows: pa.Table, *, events_version: int, as_of: datetime, added_to: UserSnapshot | None) -> None:
        """Commit rows, durable on return: added to a version, or with None in place of all there are.

        Raises LakeError; nothing has changed then.
        """
        numbers = {
            EVENTS: events_version,
            AS_OF: (as_of - EPOCH) // MICROSECOND,
            WHOLE_ROWS: rows.num_rows if added_to is None else added_to.whole_rows,
        }
        try:
            write_deltalake(
                self.location,
                rows.cast(SCHEMA),
                mode="overwrite" if added_to is None else "append",
                schema_mode="overwrite" if added_to is None else None,
                configuration=CONFIGURATION,
                writer_properties=WriterProperties(max_row_group_size=GROUP_ROWS, compression="ZSTD"),
                commit_properties=CommitProperties(
                    app_transactions=[Transaction(name, number) for name, number in numbers.items()]
                ),
            )
            self._sync()
        except (DeltaError, OSError) as error:
            raise LakeError(f"the users state at {self.location} was not written: {error}") from error

    def _table(self) -> DeltaTable | None:
        try:
            return DeltaTable(self.location) if DeltaTable.is_deltatable(self.location) else None
        except (DeltaError, OSError):
            return None

    def _sync(self) -> None:
        """Make the last commit survive a loss of power: delta-rs leaves that to the system."""
        folder, version = Path(self.location), DeltaTable(self.location).version()
        for action in read_entry(folder, version):
            if "add" in action:
                sync(folder / unquote(action["add"]["path"]))
        sync_entry(folder, version)


def _is_ours(table: DeltaTable) -> bool:
    """Say whether a table has the columns that are written now: one of an earlier version of the code has others."""
    names: list[str] = [field.name for field in table.schema().fields]
    return names == list[str](SCHEMA.names)


def write_no_users(folder: Path) -> str:
    """Write a file of the state without rows, for engines that refuse to read no file at all; return its path."""
    path = folder / "no_users.parquet"
    pq.write_table(SCHEMA.empty_table(), path)
    return str(path)
