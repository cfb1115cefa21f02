"""The record of one erasure: on disk, written anew after every step, so that whoever is killed can be continued.

While it is under way the record knows the person by a salted digest; the id itself is never written. The certificate
that takes its place keeps the digest without the salt: it was printed once, and nobody can find the id by trying.
"""

from __future__ import annotations

import json
import os
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from pipeline.erasure.person import Person
from pipeline.lake.files import sync
from pipeline.settings import Settings

UNDER_WAY = ".unfinished.json"


@dataclass
class Record:
    """An erasure under way. `removed` counts what went, by place; `days` (ISO) are those whose numbers change.

    `versions` are the tables of the lake and the version of each that is the first without the person.
    """

    erasure_id: UUID
    tenant_id: str
    digest: str
    salt: str
    requested_at: datetime
    removed: dict[str, int] = field(default_factory=dict)
    replaced: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    days: list[str] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)

    def add(self, counts: dict[str, int]) -> None:
        """Count what was removed."""
        for place, count in counts.items():
            self.removed[place] = self.removed.get(place, 0) + count


class Records:
    """The folder of all records and certificates, TIDEMARK_HOME/erasures."""

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.home / "erasures"

    def begin(self, person: Person, now: datetime) -> tuple[Record, bool]:
        """Return the person's record: the unfinished one, or a new one, which is written; and whether it is old."""
        for record in self._unfinished():
            if secrets.compare_digest(record.digest, person.digest(bytes.fromhex(record.salt))):
                return record, True
        salt = secrets.token_bytes(32)
        record = Record(uuid.uuid4(), person.tenant_id, person.digest(salt), salt.hex(), now)
        self.write(record)
        return record, False

    def write(self, record: Record) -> None:
        """Write a record, all of it or nothing; durable on return."""
        document = {**record.__dict__, "erasure_id": str(record.erasure_id)}
        document["requested_at"] = record.requested_at.isoformat()
        _write(self._path(record), document)

    def finish(self, record: Record, certificate: dict[str, Any]) -> Path:
        """Keep the certificate in the record's place, and return where."""
        path = self.folder / f"{record.erasure_id}.json"
        _write(path, certificate)
        self._path(record).unlink(missing_ok=True)
        sync(self.folder)
        return path

    def _path(self, record: Record) -> Path:
        return self.folder / f"{record.erasure_id}{UNDER_WAY}"

    def _unfinished(self) -> Iterator[Record]:
        for path in sorted(self.folder.glob(f"*{UNDER_WAY}")):
            document = json.loads(path.read_text(encoding="utf-8"))
            document["erasure_id"] = UUID(document["erasure_id"])
            document["requested_at"] = datetime.fromisoformat(document["requested_at"])
            yield Record(**document)


def _write(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    sync(path.parent)
