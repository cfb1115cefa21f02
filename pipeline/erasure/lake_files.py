"""Files of the lake that name a person: found in every version, written anew without it, exchanged, removed.

The order in which that is safe is the business of `pipeline.erasure.lake`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from pipeline.erasure.person import Person
from pipeline.lake.commit import REWRITE, next_rewrite
from pipeline.lake.files import NewFile, sync
from pipeline.lake.log import LOG, sync_entry
from pipeline.lake.rewrite import rewrite_file
from pipeline.lake.table import LakeError
from pipeline.provenance.input_files import sha256_of
from pipeline.statements import statement


@dataclass(frozen=True)
class Hits:
    """A file that names the person: rows of its own, and rows of others that mention it."""

    path: Path
    own: int
    mentions: int


@dataclass(frozen=True)
class Replaced:
    """A file of the newest version and what took its place: nothing, when all its rows were the person's.

    Paths are relative to the lake; `rows` is how many went, `redacted` how many of others lost a mention.
    """

    old: str
    old_sha256: str
    new: tuple[dict[str, str], ...]
    rows: int
    redacted: int

    def shown(self) -> dict[str, Any]:
        """Return it as the certificate has it."""
        return {**self.__dict__, "new": list(self.new)}


class TableFiles:
    """The Parquet files of one Delta table on this disk, `search` being the statement that finds persons in them."""

    def __init__(self, folder: Path, search: str) -> None:
        self.folder = folder
        self._search = search

    def table(self) -> DeltaTable | None:
        """Open the newest version; None when there is no table. Raises LakeError."""
        try:
            return DeltaTable(str(self.folder)) if DeltaTable.is_deltatable(str(self.folder)) else None
        except DeltaError as error:
            raise LakeError(f"cannot open the table at {self.folder}: {error}") from error

    def current(self, table: DeltaTable | None) -> set[Path]:
        """Return the files of a version."""
        if table is None:
            return set()
        paths = pa.table(table.get_add_actions(flatten=True)).column("path").to_pylist()
        return {self.folder / unquote(path) for path in paths}

    def unreadable(self) -> set[Path]:
        """Return files that are no Parquet files (yet): what a killed writer left, of which no version knows."""
        return {path for path in self._all() if not _is_complete(path)}

    def search(self, engine: duckdb.DuckDBPyConnection, person: Person) -> list[Hits]:
        """Return the files of all versions, and of none, that name the person."""
        paths = [str(path) for path in self._all() if _is_complete(path)]
        if not paths:
            return []
        wanted = {"paths": paths, "tenant_id": person.tenant_id, "user_id": person.user_id, "needle": person.needle}
        text = statement(self._search)
        rows = engine.execute(text, {name: value for name, value in wanted.items() if f"${name}" in text}).fetchall()
        return [Hits(Path(path), own, mentions) for path, own, mentions in rows]

    def _all(self) -> Iterator[Path]:
        return (path for path in sorted(self.folder.rglob("*.parquet")) if LOG not in path.parts)


def rewritten(files: TableFiles, hits: Sequence[Hits], person: Person) -> tuple[list[Replaced], list[NewFile]]:
    """Write the files with hits anew, without the person; durable on return, and not yet in any version."""
    replaced, added = [], []
    for hit in hits:
        new = rewrite_file(files.folder, hit.path, lambda rows: _without(rows, person))
        shown = tuple(
            {"path": f"{files.folder.name}/{file.path}", "sha256": sha256_of(files.folder / file.path)} for file in new
        )
        replaced.append(Replaced(relative(files, hit.path), sha256_of(hit.path), shown, hit.own, hit.mentions))
        added += new
    return replaced, added


def exchange(
    files: TableFiles, table: DeltaTable, hits: Sequence[Hits], new: Sequence[NewFile], erasure_id: str
) -> None:
    """Commit the new files in place of those with hits. Raises LakeError; nothing has changed then.

    A commit that only takes rows away has nothing new for readers of changes, and says so: data_change is false.
    """
    now = time.time_ns() // 1_000_000
    removed = [
        RemoveAction(
            quote(hit.path.relative_to(files.folder).as_posix(), safe="/="),
            False,
            now,
            hit.path.stat().st_size,
            _partition(hit.path.relative_to(files.folder).as_posix()),
        )
        for hit in hits
    ]
    added = [
        AddAction(file.path, file.size, _partition(file.path), now, False, json.dumps({"numRecords": file.rows}))
        for file in new
    ]
    try:
        table.create_write_transaction(
            [*removed, *added],
            "append",
            table.schema(),
            table.metadata().partition_columns,
            commit_properties=CommitProperties(
                custom_metadata={"erasure": erasure_id},
                app_transactions=[Transaction(REWRITE, next_rewrite(table))],
            ),
        )
        table.update_incremental()
    except (CommitFailedError, DeltaError) as error:
        raise LakeError(f"the commit to {files.folder} was refused ({error}); run the erasure again") from error
    sync_entry(files.folder, table.version())


def remove(paths: Sequence[Path]) -> None:
    """Remove files for good: their names are gone from the disk on return."""
    for path in paths:
        path.unlink(missing_ok=True)
    for folder in {path.parent for path in paths}:
        if folder.is_dir():
            sync(folder)


def relative(files: TableFiles, path: Path) -> str:
    """Return a file's path relative to the lake."""
    return f"{files.folder.name}/{path.relative_to(files.folder)}"


def _partition(path: str) -> dict[str, str | None]:
    parts = [part for part in path.split("/") if "=" in part]
    return {name: value for name, _, value in (part.partition("=") for part in parts)}


def _is_complete(path: Path) -> bool:
    try:
        pq.read_metadata(path)
    except (pa.ArrowInvalid, OSError):
        return False
    return True


def _without(rows: pa.Table, person: Person) -> pa.Table:
    """Return rows without the person's, and without its id in those of others of the same tenant."""
    of_tenant = pc.equal(rows["tenant_id"], person.tenant_id)
    rows = rows.filter(pc.invert(pc.and_(of_tenant, pc.equal(rows["anonymous_user_id"], person.user_id))))
    of_tenant = pc.equal(rows["tenant_id"], person.tenant_id)
    for name in ("session_id", "install_id"):
        if name in rows.schema.names:
            same = pc.fill_null(pc.and_(of_tenant, pc.equal(rows[name], person.user_id)), False)
            rows = _changed(rows, name, pc.if_else(same, pa.scalar(None, pa.string()), rows[name]))
    for name in ("properties", "context"):
        if name in rows.schema.names:
            redacted = pc.replace_substring(rows[name], person.needle, person.replacement)
            rows = _changed(rows, name, pc.if_else(of_tenant, redacted, rows[name]))
    return rows


def _changed(rows: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    position = rows.schema.get_field_index(name)
    return rows.set_column(position, rows.schema.field(position), values)
