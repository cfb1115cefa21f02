"""Reads the lake for analysts: one version of it, by number or by time, as what their tools take.

    from pipeline.lake import open_lake
    events = open_lake("data").at(time="2026-11-20T06:00Z").events(days=("2026-11-01", "2026-11-19"))

Nothing is read before a result is asked for, and what is read are exactly the files of that version, whatever is
exported, compacted or removed meanwhile. Refuses to guess: a day, column or version that is not there is a LakeError.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from pipeline.lake.history import LakeVersion, VersionLog
from pipeline.lake.log import LOG
from pipeline.lake.schema import FILE_SCHEMA, PARTITION_COLUMN
from pipeline.lake.table import Lake, LakeError, LakeFile, LakeSnapshot
from pipeline.settings import Settings

if TYPE_CHECKING:
    import duckdb
    import polars as pl
    import pyarrow.dataset as ds

Day = date | str
Days = Day | tuple[Day | None, Day | None]
EVENTS_SCHEMA = FILE_SCHEMA.append(pa.field(PARTITION_COLUMN, pa.date32()))
COLUMNS = tuple(EVENTS_SCHEMA.names)
TENANT = "tenant_id"


def open_lake(where: Settings | Path | str | None = None) -> LakeReader:
    """Open the lake of a home folder (TIDEMARK_HOME), of a lake folder or of settings; None: of the environment's.

    A URL is that of a lake folder. Raises LakeError when there is no lake yet.
    """
    if where is None:
        where = Settings()
    root = where.lake if isinstance(where, Settings) else _root(where)
    lake = Lake(root)
    if lake.folder is not None and not (lake.folder / LOG).is_dir():
        raise LakeError(f"there is no lake at {lake.folder} yet; `./tidemark export` makes it")
    return LakeReader(lake)


class LakeReader:
    """A lake to read from; it follows what is exported: each `at()` finds the newest version anew."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def __repr__(self) -> str:
        return f"LakeReader({self._lake.location!r})"

    def versions(self, newest: int | None = None) -> list[LakeVersion]:
        """Return the kept versions, oldest first, or the `newest` of them: when they were made, what each changed.

        Raises LakeError when the lake is not on this machine's disk.
        """
        return self._log().versions(newest)

    def at(self, version: int | None = None, *, time: datetime | str | None = None) -> LakeView:
        """Return the lake as it is at a version, or as it was at a time (UTC when it has no zone); else the newest.

        Raises LakeError when there was no version yet, or when it is no longer kept.
        """
        if version is not None and time is not None:
            raise LakeError("at() takes a version or a time, not both")
        if time is not None:
            version = self._log().version_at(_moment(time))
        try:
            table = self._lake.table(version)
        except LakeError as error:
            raise self._not_kept(version) or error from None
        if table is None:
            raise LakeError(f"there is no lake at {self._lake.location} yet; `./tidemark export` makes it")
        return LakeView(self._lake.read(table))  # of an old version, days whose files are there can be read still

    def events(
        self, days: Days | None = None, *, tenant: str | None = None, columns: Sequence[str] | None = None
    ) -> Events:
        """Return events of the newest version; see `LakeView.events`."""
        return self.at().events(days, tenant=tenant, columns=columns)

    def _log(self) -> VersionLog:
        if self._lake.folder is None:
            raise LakeError(f"times of versions are known for lakes on this machine's disk, not {self._lake.location}")
        return VersionLog(self._lake)

    def _not_kept(self, version: int | None) -> LakeError | None:
        """Return the error that says which versions there are, if `version` is none of them."""
        numbers = [] if self._lake.folder is None else VersionLog(self._lake).numbers()
        if not numbers or version is None or numbers[0] <= version <= numbers[-1]:
            return None
        return LakeError(f"the lake has no version {version}; it keeps {numbers[0]} to {numbers[-1]}")


@dataclass(frozen=True)
class LakeView:
    """One version of the lake. It never changes; compactions and erasures may remove its files after days."""

    snapshot: LakeSnapshot

    @property
    def version(self) -> int:
        """The number of this version."""
        return self.snapshot.version

    def days(self) -> list[date]:
        """Return the UTC days that have events, ascending."""
        return self.snapshot.days()

    def events(
        self, days: Days | None = None, *, tenant: str | None = None, columns: Sequence[str] | None = None
    ) -> Events:
        """Return the events of a UTC day or of a range `(first, last)`, both included; None leaves a side open.

        Days are dates or texts such as 2026-11-21. `tenant` keeps one tenant's events, `columns` these columns in
        this order. Raises LakeError when a day is no day, a column is unknown, or files of an old version are gone.
        """
        first, last = _range(days)
        files = [
            file
            for file in self.snapshot.files
            if (first is None or file.day >= first) and (last is None or file.day <= last)
        ]
        _require_present(files, self.version)
        return Events(self.version, tuple(files), tenant, _known(columns))


@dataclass(frozen=True)
class Events:
    """Events of one version, not yet read. `rows` counts all tenants' rows of these days."""

    version: int
    _files: tuple[LakeFile, ...]
    tenant: str | None
    columns: tuple[str, ...]

    @property
    def rows(self) -> int:
        """The number of rows in the files, before a tenant is chosen."""
        return sum(file.rows for file in self._files)

    def files(self) -> list[LakeFile]:
        """Return the files, by day: path, day, rows (of all tenants) and bytes."""
        return list(self._files)

    def paths(self) -> list[str]:
        """Return the files' paths, for any other engine."""
        return [file.path for file in self._files]

    def duckdb_source(self) -> str:
        """Return what stands after FROM in the SQL of any DuckDB: `read_parquet([...], ...)`, of all tenants.

        Raises LakeError when there are no files in these days.
        """
        if not self._files:
            raise LakeError(f"version {self.version} of the lake has no events in these days")
        paths = ", ".join("'" + path.replace("'", "''") + "'" for path in self.paths())
        return f"read_parquet([{paths}], hive_partitioning = true)"

    def duckdb(self, connection: duckdb.DuckDBPyConnection | None = None) -> duckdb.DuckDBPyRelation:
        """Return a relation, by default on DuckDB's default connection, which is set to UTC.

        On a connection of your own, `SET TimeZone = 'UTC'` before you turn a time into a day.
        """
        import duckdb  # noqa: PLC0415 - each engine is loaded by those who use it

        if connection is None:
            connection = duckdb.default_connection()
            connection.execute("SET TimeZone = 'UTC'")
        if not self._files:
            relation = connection.from_arrow(EVENTS_SCHEMA.empty_table())
        else:
            relation = connection.read_parquet(self.paths(), hive_partitioning=True)
        if self.tenant is not None:
            relation = relation.filter(duckdb.ColumnExpression(TENANT) == duckdb.ConstantExpression(self.tenant))
        return relation.select(*(duckdb.ColumnExpression(column) for column in self.columns))

    def polars(self) -> pl.LazyFrame:
        """Return a LazyFrame; `day` is a Date, times are in UTC, experiment_map is a Map."""
        import polars as pl  # noqa: PLC0415 - as above

        frame = (
            pl.scan_parquet(self.paths(), glob=False, hive_partitioning=True, hive_schema={PARTITION_COLUMN: pl.Date})
            if self._files
            else pl.DataFrame(EVENTS_SCHEMA.empty_table()).lazy()
        )
        if self.tenant is not None:
            frame = frame.filter(pl.col(TENANT) == self.tenant)
        return frame.select(self.columns)

    def arrow(self) -> ds.Dataset:
        """Return a pyarrow dataset. With a tenant it has the column tenant_id, also when that was not asked for."""
        import pyarrow.dataset as ds  # noqa: PLC0415 - as above

        names = self.columns if self.tenant is None or TENANT in self.columns else (*self.columns, TENANT)
        schema = pa.schema([EVENTS_SCHEMA.field(name) for name in names])
        if not self._files:
            return ds.dataset(schema.empty_table())
        partitioning = ds.partitioning(pa.schema([EVENTS_SCHEMA.field(PARTITION_COLUMN)]), flavor="hive")
        dataset = ds.dataset(self.paths(), schema=EVENTS_SCHEMA, format="parquet", partitioning=partitioning)
        dataset = dataset.replace_schema(schema)
        return dataset if self.tenant is None else dataset.filter(ds.field(TENANT) == self.tenant)


def _root(where: Path | str) -> Path | str:
    """Return the lake folder that a home, a lake folder, its table `events`, or a URL stands for."""
    text = str(where)
    if "://" in text:
        if not text.startswith("file://"):
            return text
        text = unquote(urlsplit(text).path)
    path = Path(text).expanduser().absolute()
    if (path / LOG).is_dir() and path.name == "events":
        return path.parent
    return path if (path / "events" / LOG).is_dir() else path / "lake"


def _range(days: Days | None) -> tuple[date | None, date | None]:
    if days is None:
        return None, None
    if isinstance(days, date | str):
        return _day(days), _day(days)
    if not isinstance(days, Sequence) or len(days) != 2:
        raise LakeError(f"days: {days!r} is neither a day nor a pair (first, last)")
    first, last = (None if side is None else _day(side) for side in days)
    if first is not None and last is not None and first > last:
        raise LakeError(f"days: the first day {first} is after the last day {last}")
    return first, last


def _day(day: Day) -> date:
    if isinstance(day, str):
        try:
            return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).date()
        except ValueError:
            raise LakeError(f"days: {day!r} is not a day such as 2026-11-21") from None
    if isinstance(day, datetime) or not isinstance(day, date):
        raise LakeError(f"days: {day!r} is not a day; give a date, or a text such as 2026-11-21")
    return day


def _moment(time: datetime | str) -> datetime:
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            raise LakeError(f"time: {time!r} is not an ISO 8601 time such as 2026-11-21T09:30:00Z") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _known(columns: Sequence[str] | None) -> tuple[str, ...]:
    if columns is None:
        return COLUMNS
    wanted = (columns,) if isinstance(columns, str) else tuple(columns)
    unknown = [column for column in wanted if column not in COLUMNS]
    if unknown or not wanted:
        raise LakeError(f"columns: {', '.join(unknown) or 'none given'}; the lake has {', '.join(COLUMNS)}")
    return wanted


def _require_present(files: Iterable[LakeFile], version: int) -> None:
    gone = [file for file in files if "://" not in file.path and not Path(file.path).exists()]
    if gone:
        days = sorted({file.day for file in gone})
        raise LakeError(
            f"version {version} of the lake can no longer be read from {days[0]} to {days[-1]}: {len(gone)} of its"
            f" files were removed after a compaction or an erasure, such as {gone[0].path}; read a newer version"
        )
