"""What a change to an experiment writes: rows, its version, its entry in the log. Pure; whoever calls it executes.

The API and the manifest plan alike: the log and the versions cannot depend on who made a change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from pipeline.experiments.definition import Definition, Json, StoredExperiment, Variant
from pipeline.experiments.json_values import same

Write = tuple[str, Json]


@dataclass(frozen=True)
class Author:
    """Who changes something: a key's id, `manifest` or `dashboard`; `change_id` is the same when it is tried again."""

    by: str
    change_id: UUID


@dataclass(frozen=True)
class Plan:
    """What to write, in order: names of statements with their parameters.

    `rows_changed` counts rows of experiments and variants that are not what they were. `removed` and `retired` are the
    keys of variants that go, and of those that stay for their users alone.
    """

    writes: tuple[Write, ...]
    changes: Json
    note: str | None
    version: int
    rows_changed: int
    removed: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()


def leaving_keys(stored: StoredExperiment, wanted: Definition) -> list[str]:
    """Return the keys of stored variants that are not wanted any more."""
    staying = {variant.key for variant in wanted.variants}
    return [variant.key for variant in stored.definition.variants if variant.key not in staying]


def plan_creation(tenant_id: str, experiment_id: str, definition: Definition, author: Author) -> Plan:
    """Plan a new experiment, its version 1 and the first entry of its log."""
    fields = definition.fields()
    plain = Definition(()).fields()
    changes = {
        name: {"before": None, "after": value}
        for name, value in fields.items()
        if name in ("status", "variants") or not same(value, plain[name])
    }
    key = {"tenant_id": tenant_id, "experiment_id": experiment_id}
    started = definition.status != "DRAFT"
    writes = (
        ("experiments/insert", {**key, **_columns(definition), "started": started, "changed_by": author.by}),
        *_variant_writes(key, definition.variants),
        ("experiments/put_version", {**key, "version": 1, "variants": Jsonb(fields["variants"])}),
        _log_entry(key, author, revision=1, version=1, changes=changes, note=None),
    )
    return Plan(writes, changes, None, 1, 1 + len(definition.variants))


def plan_change(
    tenant_id: str, stored: StoredExperiment, wanted: Definition, author: Author, used: Collection[str] = ()
) -> Plan | None:
    """Plan a change; None when there is nothing to change. Whether the change is allowed is not asked here.

    `used` are those of the `leaving_keys` that somebody is assigned to: they stay, and take no new users. When the
    experiment has started, another set of keys, weights, controls or configs is a new version.
    """
    before = stored.definition
    leaving = [variant for variant in before.variants if variant.key in leaving_keys(stored, wanted)]
    kept = [replace(variant, weight=0.0) for variant in leaving if variant.key in used]
    removed = tuple(variant.key for variant in leaving if variant.key not in used)
    after = replace(wanted, variants=(*wanted.variants, *kept))
    changes = _differences(before, after)
    if not changes:
        return None
    retired = tuple(variant.key for variant in leaving if variant.key in used and not same(variant.weight, 0.0))
    is_new_version = stored.has_started and not _same_split(before.variants, after.variants)
    version = stored.version + is_new_version
    revision = stored.revision + 1
    note = _note(version, retired) if is_new_version else None
    key = {"tenant_id": tenant_id, "experiment_id": stored.experiment_id}
    started = stored.has_started or after.status != "DRAFT"
    row = {**key, **_columns(after), "started": started, "version": version, "revision": revision}
    writes: list[Write] = [("experiments/update", row)]
    changed_variants = 0
    if "variants" in changes:
        shown = {variant.key: variant.shown() for variant in before.variants}
        changed_variants = sum(not same(variant.shown(), shown.get(variant.key)) for variant in after.variants)
        writes += _variant_writes(key, after.variants)
        if removed:
            writes.append(("experiments/remove_variants", {**key, "variant_ids": list(removed)}))
        if is_new_version or not stored.has_started:
            put = {**key, "version": version, "variants": Jsonb(changes["variants"]["after"])}
            writes.append(("experiments/put_version", put))
    writes.append(_log_entry(key, author, revision=revision, version=version, changes=changes, note=note))
    rows_changed = bool(changes.keys() - {"variants"}) + changed_variants + len(removed)
    return Plan(tuple(writes), changes, note, version, rows_changed, removed, retired)


def _differences(before: Definition, after: Definition) -> Json:
    old, new = before.fields(), after.fields()
    return {name: {"before": old[name], "after": new[name]} for name in new if not same(old[name], new[name])}


def _same_split(before: Sequence[Variant], after: Sequence[Variant]) -> bool:
    """Say whether two versions treat users alike; the order and the names of variants do not matter."""
    splits = [{one.key: [one.weight, one.is_control, one.config] for one in variants} for variants in (before, after)]
    return same(*splits)


def _note(version: int, retired: Sequence[str]) -> str:
    note = f"Version {version} starts: new users are bucketed by its weights, assigned users keep their variant."
    if retired:
        note += f" Taken out, and kept for the users who have it: {', '.join(retired)}."
    return note


def _variant_writes(key: Json, variants: Sequence[Variant]) -> Iterator[Write]:
    for position, variant in enumerate(variants):
        columns = {
            "variant_id": variant.key,
            "variant_name": variant.name,
            "is_control": variant.is_control,
            "weight": variant.weight,
            "config_override": Jsonb(variant.config),
            "position": position,
        }
        yield "experiments/upsert_variant", {**key, **columns}


def _columns(definition: Definition) -> Json:
    layer = definition.layer
    return {
        "name": definition.name,
        "description": definition.description,
        "status": definition.status,
        "start_at": definition.start_at,
        "end_at": definition.end_at,
        "targeting": None if definition.targeting is None else Jsonb(definition.targeting),
        "traffic_allocation": definition.traffic_allocation,
        "layer": layer and layer.name,
        "layer_from": layer and layer.start,
        "layer_to": layer and layer.end,
        "allocation_version": definition.allocation_version,
    }


def _log_entry(key: Json, author: Author, *, revision: int, version: int, changes: Json, note: str | None) -> Write:
    entry: dict[str, Any] = {
        "revision": revision,
        "change_id": author.change_id,
        "changed_by": author.by,
        "version": version,
        "changes": Jsonb(changes),
        "note": note,
    }
    return "experiments/add_change", {**key, **entry}
