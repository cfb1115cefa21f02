"""Small tables for people, as Markdown in the metadata of an asset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import dagster as dg

PREVIEW_ROWS = 10


def markdown_table(rows: Sequence[Mapping[str, object]]) -> dg.MarkdownMetadataValue:
    """Return the first ten rows as a Markdown table; the columns are those of the first row."""
    if not rows:
        return dg.MetadataValue.md("no rows")
    columns = list(rows[0])
    lines = [_line(columns), _line("---" for _ in columns)]
    lines += [_line(row[column] for column in columns) for row in rows[:PREVIEW_ROWS]]
    return dg.MetadataValue.md("\n".join(lines))


def _line(cells: Iterable[object]) -> str:
    texts = ("" if cell is None else str(cell).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(texts)} |"
