"""Turns a statement with parameters into a line for a shell that computes it with DuckDB alone."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# A command's argument holds 128 KiB on Linux; the SQL of a line that would be longer goes to a file.
LINE_LIMIT = 100_000
_PARAMETER = re.compile(r"\$([a-z_]+)")
_COMMENT = re.compile(r"--[^\n]*")


def filled(text: str, parameters: Mapping[str, Any]) -> str:
    """Return a statement on one line, without comments, with values in place of its parameters (DuckDB's literals)."""
    bare = " ".join(_COMMENT.sub("", text).split())
    return _PARAMETER.sub(lambda match: _literal(parameters[match[1]]), bare)


def reproducing_line(query: str, file: Path) -> str:
    """Return a line that prints the query's only value; a very long query goes to `file`, which the line reads."""
    line = _line(f"duckdb.sql({json.dumps(query, ensure_ascii=False)})")
    if len(line.encode()) <= LINE_LIMIT:
        return line
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(query, encoding="utf-8")
    return _line(f'duckdb.sql(open({json.dumps(str(file), ensure_ascii=False)}, encoding="utf-8").read())')


def _line(relation: str) -> str:
    program = f"import duckdb; print({relation}.fetchall()[0][0])"
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}"


def _literal(value: Any) -> str:  # noqa: ANN401 - any parameter
    if value is None:
        return "CAST(NULL AS VARCHAR)"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, datetime):
        return f"TIMESTAMPTZ $${value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00:00$$"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_literal(part) for part in value)}]"
    text = str(value)
    # Dollar quotes need no escape in a shell's quotes; a text that has a dollar itself is quoted as usual.
    return "'" + text.replace("'", "''") + "'" if "$" in text else f"$${text}$$"
