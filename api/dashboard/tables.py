"""Tables of the dashboard: one description that becomes HTML for people and CSV for spreadsheets.

A cell keeps the value as it is; how it is written follows from its column. So the two never differ.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup, escape

from api.dashboard import formats

# Spreadsheets take a text that begins with one of these for a formula, also behind blanks (OWASP, CSV injection).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}",
                  "\N{FULLWIDTH HYPHEN-MINUS}", "\N{FULLWIDTH COMMERCIAL AT}")  # fmt: skip
# How each kind of column is written; numbers stand to the right.
WRITERS: dict[str, Any] = {
    "text": lambda value: formats.NOTHING if value is None else str(value),
    "count": formats.count,
    "share": formats.share,
    "seconds": formats.seconds,
    "change": formats.change,
    "points": formats.points,
    "bytes": formats.byte_size,
    "day": formats.day,
    "moment": formats.moment,
}
TO_THE_LEFT = ("text", "day", "moment")


@dataclass(frozen=True)
class Column:
    """A column: its key in the CSV's head, its label for people, its kind (one of WRITERS), and a tooltip.

    `metric` names the entry of the catalogue that explains it.
    """

    key: str
    label: str
    kind: str = "text"
    metric: str | None = None

    @property
    def look(self) -> str:
        """The class of its cells: numbers to the right, times in one line."""
        return "n" if self.is_number else "when" if self.kind in ("day", "moment") else ""

    @property
    def is_number(self) -> bool:
        """Whether its cells stand to the right."""
        return self.kind not in TO_THE_LEFT


@dataclass(frozen=True)
class Cell:
    """A value as it was read; `ask` is where it says where it comes from, `href` where it leads otherwise.

    `of` is the number of people a share is of; `look` is a class of the stylesheet, such as `incomplete`; `note` says
    in words what `look` says by looks.
    """

    value: Any
    ask: str | None = None
    href: str | None = None
    of: float | None = None
    look: str = ""
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table of a page; `name` is unique on the page and names the CSV file, `caption` says what it holds."""

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]] = field(default=())

    def written(self, column: Column, cell: Cell) -> str:
        """Return a cell's value as people read it."""
        if column.kind == "share":
            return formats.share(cell.value, cell.of)
        text: str = WRITERS[column.kind](cell.value)
        return text

    def body(self) -> Markup:
        """Return the rows as HTML, every value escaped. A template takes ten times as long for thousands of cells."""
        parts: list[str] = []
        for row in self.rows:
            parts.append("<tr>")
            tag = 'th scope="row"'
            for column, cell in zip(self.columns, row, strict=True):
                parts.append(self._cell(tag, column, cell))
                tag = "td"
            parts.append("</tr>\n")
        return Markup("".join(parts))

    def _cell(self, tag: str, column: Column, cell: Cell) -> str:
        text = str(escape(self.written(column, cell)))
        if cell.ask:
            text = f'<a class="ask" href="{escape(cell.ask)}">{text}</a>'
        elif cell.href:
            text = f'<a href="{escape(cell.href)}">{text}</a>'
        classes = f"{column.look} {cell.look}".strip()
        attributes = f' class="{escape(classes)}"' if classes else ""
        if cell.note:
            note = escape(cell.note)
            attributes += f' title="{note}"'
            text += f'<span class="hidden"> ({note})</span>'
        return f"<{tag}{attributes}>{text}</{tag[:2]}>"


def to_csv(table: Table) -> bytes:
    """Return the table as CSV (RFC 4180, UTF-8 with a byte order mark): values unrounded, no cell that is a formula.

    A text that a spreadsheet would compute gets an apostrophe in front, which spreadsheets do not show.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow([column.key for column in table.columns])
    for row in table.rows:
        writer.writerow([_csv_value(cell.value) for cell in row])
    return b"\xef\xbb\xbf" + written.getvalue().encode("utf-8", "replace")


def _csv_value(value: Any) -> Any:  # noqa: ANN401 - any value that a cell may hold
    if value is None or isinstance(value, int | float):
        return value
    text = str(value)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) else text
