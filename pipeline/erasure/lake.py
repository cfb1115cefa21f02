"""Takes a person out of one table of the lake: out of its newest version, then out of all others.

Files of the newest version that name the person are written anew without it and exchanged in one commit; then the old
files are removed, and those that only older versions have, and with them what these versions had of the person. What
is written to the record before each step lets the next call tell a finished exchange from an unfinished one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psycopg

from pipeline.erasure.lake_files import Hits, TableFiles, exchange, relative, remove, rewritten
from pipeline.erasure.person import Person
from pipeline.erasure.record import Record, Records
from pipeline.provenance.input_files import sha256_of
from pipeline.provenance.record import note_rewritten

REASON = "erasure of a person"


@dataclass(frozen=True)
class LakeErasure:
    """The work on one table. Nobody else may write to it or remove files of it meanwhile."""

    files: TableFiles
    connection: psycopg.Connection
    engine: duckdb.DuckDBPyConnection
    person: Person
    records: Records
    record: Record

    def run(self) -> None:
        """Take the person out; does nothing where there is nothing of it. Raises LakeError, OSError."""
        table = self.files.table()
        current = self.files.current(table)
        self._forget_uncommitted(current)
        remove(sorted(self.files.unreadable() - current))
        hits = self.files.search(self.engine, self.person)
        of_current = [hit for hit in hits if hit.path in current]
        if of_current and table is not None:
            replaced, added = rewritten(self.files, of_current, self.person)
            self.record.replaced += [file.shown() for file in replaced]
            self.record.versions[self.files.folder.name] = table.version() + 1  # nobody else can commit now
            self._announce(of_current)
            exchange(self.files, table, of_current, added, str(self.record.erasure_id))
        older = [hit for hit in hits if hit.path not in current]
        known = {file["path"] for file in self.record.dropped} | {file["old"] for file in self.record.replaced}
        for hit in older:
            path = relative(self.files, hit.path)
            if path not in known:
                self.record.dropped.append({"path": path, "sha256": sha256_of(hit.path), "rows": hit.own})
        self._announce(older)
        remove([hit.path for hit in hits])

    def _announce(self, hits: Sequence[Hits]) -> None:
        """Note what is about to go: in the record, and for those who ask about runs that read it."""
        self.records.write(self.record)
        note_rewritten(self.connection, [str(hit.path) for hit in hits], REASON)

    def _forget_uncommitted(self, current: set[Path]) -> None:
        """Forget replacements that were written and, because of a kill, never came into a version; remove them."""
        root = self.files.folder.parent
        kept = []
        for file in self.record.replaced:
            if root / file["old"] in current:
                remove([path for part in file["new"] if (path := root / part["path"]) not in current])
            else:
                kept.append(file)
        self.record.replaced = kept
