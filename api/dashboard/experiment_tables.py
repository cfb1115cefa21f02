"""The tables of an experiment's page, and its targeting and its log in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from api.dashboard.asking import ask
from api.dashboard.experiment_figures import METRICS, Counts, Group, Split, cohort_size
from api.dashboard.experiment_list import RATE, Numbers
from api.dashboard.tables import Cell, Column, Table
from api.dashboard.visit import Visit
from pipeline.experiments.definition import StoredExperiment
from pipeline.rollups.metric_catalogue import entry

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Field:
    """A field of a log entry: its name, and its values before and after as text."""

    name: str
    before: str
    after: str


def variants_table(visit: Visit, stored: StoredExperiment, groups: Sequence[Group], numbers: Numbers) -> Table:
    """Return the variants with their weights, users, and pooled 24 hour rates."""
    columns = (
        Column("variant", "Variant"),
        Column("name", "Name"),
        Column("control", "Control"),
        Column("weight", "Weight", "count"),
        Column("users", "Users", "count", "variant_users_total"),
        Column("rate", "24 h logging", "share", RATE),
        Column("cohort_size", "Of new users", "count", "cohort_size"),
        Column("config", "Config"),
    )
    variants = {variant.key: variant for variant in stored.definition.variants}
    rows = []
    for group in groups:
        variant = variants[group.key]
        size, converted = numbers.rates.get((stored.experiment_id, group.key), (None, None))
        place: dict[str, Any] = {"days": visit.window.days, "experiment": stored.experiment_id, "variant": group.key}
        rows.append(
            [
                Cell(group.key),
                Cell(group.name),
                Cell("control" if group.is_control else ""),
                Cell(variant.weight),
                Cell(
                    numbers.users.get((stored.experiment_id, group.key), 0),
                    ask_users(visit, stored.experiment_id, group.key),
                ),
                Cell(converted / size if size and converted is not None else None, ask(RATE, **place), of=size),
                Cell(size, ask(RATE, **place) if size else None),
                Cell(json.dumps(variant.config, ensure_ascii=False) if variant.config else ""),
            ]
        )
    return Table("variants", "Variants", columns, rows)


def split_table(visit: Visit, stored: StoredExperiment, plan: Split) -> Table:
    """Return the planned split beside the one that came."""
    columns = (
        Column("variant", "Variant"),
        Column("expected_share", "Planned", "share"),
        Column("expected_users", "Planned users", "count"),
        Column("users", "Users", "count", "variant_users_total"),
        Column("actual_share", "Share", "share"),
        Column("difference", "Difference", "points"),
    )
    rows = []
    for row in plan.rows:
        source = ask_users(visit, stored.experiment_id, row.group.key)
        rows.append(
            [
                Cell(row.group.key),
                Cell(row.expected_share),
                Cell(row.expected_users, source),
                Cell(row.users, source),
                Cell(row.actual_share, source, of=plan.users),
                Cell(row.difference, source),
            ]
        )
    return Table("split", "Split, as planned and as it came", columns, rows)


def ask_users(visit: Visit, experiment_id: str, variant_id: str | None = None) -> str:
    """Return where the users assigned to a variant are counted; None: to all variants."""
    return ask("variant_users_total", days=visit.window.days, experiment=experiment_id, variant=variant_id)


def assigned_table(visit: Visit, experiment_id: str, counts: Counts, groups: Sequence[Group]) -> Table:
    """Return the users assigned to each variant on each day, the last day first."""
    sources = [ask_users(visit, experiment_id, group.key) for group in groups]
    columns = [Column("day", "Day (UTC)", "day"), *(Column(group.key, group.key, "count") for group in groups)]
    days: list[date] = sorted({day for _, day in counts}, reverse=True)
    rows = [
        [
            Cell(day),
            *(Cell(counts.get((group.key, day), 0), source) for group, source in zip(groups, sources, strict=True)),
        ]
        for day in days
    ]
    return Table("assigned", "Users assigned each day", columns, rows)


def metric_table(
    stored: StoredExperiment, groups: Sequence[Group], series: Sequence[Row], name: str, today: date
) -> Table:
    """Return one published metric by day and variant, the last day first; each number says where it comes from.

    Shares stand beside the number of users they are of; days that are not complete are marked.
    """
    kind, unfinished = next((kind, days) for metric, kind, days in METRICS if metric == name)
    open_from = str(today - timedelta(days=unfinished - 1))
    own = {(row["day"], row["variant_id"]): row for row in series if row["metric_name"] == name}
    columns = [Column("day", "Day (UTC)", "day")]
    for group in groups:
        columns.append(Column(group.key, group.key, kind))
        if kind == "share":
            columns.append(Column(f"{group.key} cohort", f"of (new users in {group.key})", "count"))
    rows = []
    for day in sorted({row["day"] for row in own.values()}, reverse=True):
        marks = {"look": "incomplete", "note": "not complete"} if day >= open_from else {}
        cells = [Cell(day)]
        for group in groups:
            row = own.get((day, group.key))
            size = cohort_size(row) if row else None
            source = ask(name, day=day, experiment=stored.experiment_id, variant=group.key) if row else None
            is_empty = kind == "share" and not size
            cells.append(Cell(row["value"] if row and not is_empty else None, source, of=size, **marks))
            if kind == "share":
                cells.append(Cell(size, source))
        rows.append(cells)
    return Table(name, entry(name).label, columns, rows)


def log_table(entries: Sequence[Row]) -> Table:
    """Return the audit log, a row for each field that changed, the latest change first."""
    columns = (
        Column("at", "When", "moment"),
        Column("by", "Who"),
        Column("revision", "Revision", "count"),
        Column("version", "Version", "count"),
        Column("field", "Field"),
        Column("before", "Before"),
        Column("after", "After"),
        Column("note", "Note"),
    )
    rows = [
        [Cell(row["changed_at"]), Cell(row["changed_by"]), Cell(row["revision"]), Cell(row["version"]),
         Cell(field.name), Cell(field.before), Cell(field.after), Cell(row["note"])]
        for row in entries
        for field in fields_of(row)
    ]  # fmt: skip
    return Table("log", "Log of changes", columns, rows)


def fields_of(row: Row) -> list[Field]:
    """Return the fields of a log entry, in words."""
    return [
        Field(name, _words(change["before"]), _words(change["after"]))
        for name, change in sorted(row["changes"].items())
    ]


def targeting_words(targeting: Any) -> list[str]:  # noqa: ANN401 - any JSON value
    """Return a targeting rule as short phrases; none when everybody fits."""
    if not isinstance(targeting, dict):
        return []
    words = []
    platform = targeting.get("platform")
    if platform is not None:
        words.append(" or ".join(map(str, platform if isinstance(platform, list) else [platform])))
    for key, phrase in (("min_app_version", "version {} or newer"), ("max_app_version", "version {} or older")):
        if targeting.get(key) is not None:
            words.append(phrase.format(targeting[key]))
    others = sorted(set(targeting) - {"platform", "min_app_version", "max_app_version"})
    return [*words, *(f"{key}: {json.dumps(targeting[key], ensure_ascii=False)} (ignored)" for key in others)]


def _words(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
