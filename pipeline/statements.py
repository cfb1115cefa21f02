"""SQL statements by name: every statement is a file under `sql/`, read once."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import LiteralString

from pipeline.settings import REPOSITORY

SQL = REPOSITORY / "sql"


@cache
def statement(name: str) -> LiteralString:
    """Return the text of `sql/<name>.sql`, for example `statement("publish/daily_metric_rollups_delete")`.

    The text is a reviewed file of this repository, never user input: hence LiteralString, which psycopg demands.
    Raises FileNotFoundError when no such statement exists.
    """
    text: LiteralString = (SQL / f"{name}.sql").read_text(encoding="utf-8")
    return text


def read_statements() -> None:
    """Read every statement now: a long-lived process must not mix those of an upgrade in place with its own code."""
    for path in SQL.rglob("*.sql"):
        statement(path.relative_to(SQL).with_suffix("").as_posix())


def fingerprint(*names: str) -> str:
    """Return the SHA-256, as hexadecimal digits, of the named statements' texts in the order given."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(statement(name).encode())
    return digest.hexdigest()
