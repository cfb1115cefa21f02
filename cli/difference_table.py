"""Shows differences between a manifest and the database as lines of a table, one per field that would change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

WIDEST = 60
HEADINGS = ("experiment", "field", "now", "then")

Cells = tuple[str, str, str, str]


def difference_table(changes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table of `seed --diff`'s changes, headings first; none when there are no changes."""
    rows = [row for change in changes for row in _rows(change)]
    if not rows:
        return []
    widths = [max(len(row[column]) for row in (HEADINGS, *rows)) for column in range(len(HEADINGS))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (HEADINGS, *rows)
    ]


def _rows(change: Mapping[str, Any]) -> Iterator[Cells]:
    experiment_id = str(change["experiment_id"])
    if change["action"] == "create":
        yield experiment_id, "(new)", "", ""
    for name, sides in change["changes"].items():
        if name == "variants":
            yield from _variant_rows(experiment_id, sides["before"] or [], sides["after"])
        else:
            yield experiment_id, name, _cell(sides["before"]), _cell(sides["after"])
    if change["note"]:
        yield experiment_id, "version", str(change["version"] - 1), str(change["version"])


def _variant_rows(experiment_id: str, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Iterator[Cells]:
    old, new = ({one["key"]: one for one in variants} for variants in (before, after))
    order_alone = True
    for key in [*old, *(key for key in new if key not in old)]:
        for name in ("name", "weight", "isControl", "config"):
            was, will_be = (side.get(key, {}).get(name) for side in (old, new))
            if was != will_be:
                order_alone = False
                yield experiment_id, f"variant {key}: {name}", _cell(was), _cell(will_be)
    if order_alone:
        yield experiment_id, "variants", ", ".join(old), ", ".join(new)


def _cell(value: object) -> str:
    """A value as one short line that a terminal can show."""
    text = "-" if value is None else value if isinstance(value, str) else json.dumps(value)
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return shown if len(shown) <= WIDEST else f"{shown[: WIDEST - 3]}..."
