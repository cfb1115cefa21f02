"""SQL as people read it: keywords, texts and comments marked, everything escaped."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_TOKEN = re.compile(
    r"(?P<co>--[^\n]*|/\*.*?\*/)|(?P<st>'(?:[^']|'')*')|(?P<word>[A-Za-z_][A-Za-z_0-9]*)|(?P<rest>.)", re.DOTALL
)
_KEYWORDS = frozenset(
    (
        "ALL",
        "AND",
        "ANY",
        "AS",
        "ASC",
        "BETWEEN",
        "BY",
        "CASE",
        "CAST",
        "COALESCE",
        "COUNT",
        "CROSS",
        "DATE",
        "DESC",
        "DISTINCT",
        "DOUBLE",
        "ELSE",
        "END",
        "EXISTS",
        "EXTRACT",
        "FALSE",
        "FILTER",
        "FIRST",
        "FROM",
        "FULL",
        "GREATEST",
        "GROUP",
        "HAVING",
        "IN",
        "INNER",
        "INTERVAL",
        "INTO",
        "IS",
        "ILIKE",
        "JOIN",
        "LAST",
        "LATERAL",
        "LEAST",
        "LEFT",
        "LIKE",
        "LIMIT",
        "MAX",
        "MIN",
        "NOT",
        "NULL",
        "NULLIF",
        "NULLS",
        "ON",
        "OR",
        "ORDER",
        "OUTER",
        "OVER",
        "PARTITION",
        "PRECISION",
        "QUALIFY",
        "QUANTILE_CONT",
        "RANGE",
        "ROW_NUMBER",
        "SELECT",
        "SUM",
        "THEN",
        "TIMESTAMPTZ",
        "TRUE",
        "UNION",
        "UNNEST",
        "USING",
        "VALUES",
        "WHEN",
        "WHERE",
        "WINDOW",
        "WITH",
        "WITHIN",
    )
)


def highlighted(sql: str) -> Markup:
    """Return a statement as HTML: `kw`, `st` and `co` are classes of the stylesheet."""
    parts: list[Markup] = []
    for match in _TOKEN.finditer(sql):
        text, kind = match[0], match.lastgroup
        if kind == "word":
            kind = "kw" if text.isupper() and text in _KEYWORDS else None
        shown = escape(text)
        parts.append(Markup('<span class="{}">{}</span>').format(kind, shown) if kind in ("co", "st", "kw") else shown)
    return Markup("").join(parts)
