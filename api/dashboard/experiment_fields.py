"""The form of an experiment: what its fields show of a definition, and the change that filled-in fields ask for.

Pure: texts in, a JSON document out, which `pipeline.experiments.fields` checks as it checks a request of the API. What
a field shows unchanged asks for nothing: opening a form and sending it changes nothing, whatever was stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from api.dashboard.forms import Form
from api.errors import InvalidRequestError
from api.experiments.requests import read_document
from api.identifiers import PLATFORMS
from pipeline.clock import iso_millis
from pipeline.experiments.definition import Definition, StoredExperiment
from pipeline.experiments.fields import MAX_VARIANTS

Json = dict[str, Any]
NO_CONTROL = "none"
BLANK_ROWS = 2
# Fields of the JSON document, and the field of the form that shows what is wrong with each.
PLACES = {"name": "name", "description": "description", "status": "status", "variants": "variants",
          "targeting": "targeting", "startDate": "start", "endDate": "end", "trafficAllocation": "share",
          "layer": "layer"}  # fmt: skip
_PLACE = re.compile(r"(?P<field>\w+)(?:\[(?P<number>\d+)\]\.(?P<part>\w+))?\S*")
NOT_JSON = 'must be a JSON object, such as {"color": "green"}'


@dataclass(frozen=True)
class VariantFields:
    """One row of variants, as text."""

    key: str = ""
    name: str = ""
    weight: str = ""
    config: str = ""

    @property
    def is_blank(self) -> bool:
        """Whether nothing was filled in."""
        return not (self.key or self.name or self.weight or self.config)


@dataclass(frozen=True)
class Fields:
    """All fields of the form, as text; `control` is the number of a row, or NO_CONTROL."""

    name: str = ""
    description: str = ""
    status: str = "DRAFT"
    variants: Sequence[VariantFields] = field(default=())
    control: str = NO_CONTROL
    platforms: Sequence[str] = ()
    min_version: str = ""
    max_version: str = ""
    more: str = ""
    start: str = ""
    end: str = ""
    share: str = "100"
    layer_name: str = ""
    layer_from: str = ""
    layer_to: str = ""

    @property
    def targeting(self) -> tuple[Any, ...]:
        """The fields that make the targeting rule."""
        return (tuple(self.platforms), self.min_version, self.max_version, self.more)

    @property
    def layer(self) -> tuple[str, ...]:
        """The fields that make the slice of a layer."""
        return (self.layer_name, self.layer_from, self.layer_to)

    @property
    def rows(self) -> tuple[Any, ...]:
        """The fields that make the variants, and which of them is the control; rows without anything are left out."""
        filled = [(number, row) for number, row in enumerate(self.variants) if not row.is_blank]
        return tuple((row, str(number) == self.control) for number, row in filled)


def blank_fields() -> Fields:
    """Return the form of a new experiment: two variants, half each."""
    return Fields(variants=(VariantFields("A", "", "0.5"), VariantFields("B", "", "0.5")), control="0")


def shown_fields(definition: Definition) -> Fields:
    """Return what the form shows of a definition."""
    rows = [
        VariantFields(
            variant.key,
            "" if variant.name == variant.key else variant.name,
            _number(variant.weight),
            json.dumps(variant.config, ensure_ascii=False) if variant.config else "",
        )
        for variant in definition.variants
    ]
    control = next((str(number) for number, one in enumerate(definition.variants) if one.is_control), NO_CONTROL)
    rule = dict(definition.targeting) if isinstance(definition.targeting, dict) else {}
    platforms = rule.get("platform")
    chosen = [platforms] if isinstance(platforms, str) else platforms
    is_plain = isinstance(chosen, list) and chosen and all(one in PLATFORMS for one in chosen)
    versions = {}
    for key in ("min_app_version", "max_app_version"):
        if isinstance(rule.get(key), str):
            versions[key] = rule.pop(key)
    if is_plain:
        del rule["platform"]
    layer = definition.layer
    return Fields(
        name=definition.name or "",
        description=definition.description or "",
        status=definition.status,
        variants=tuple(rows),
        control=control,
        platforms=tuple(chosen) if is_plain and chosen else (),
        min_version=versions.get("min_app_version", ""),
        max_version=versions.get("max_app_version", ""),
        more=json.dumps(rule, ensure_ascii=False) if rule else "",
        start=iso_millis(definition.start_at) if definition.start_at else "",
        end=iso_millis(definition.end_at) if definition.end_at else "",
        share=percent(definition.traffic_allocation),
        layer_name=layer.name if layer else "",
        layer_from=percent(layer.start) if layer else "",
        layer_to=percent(layer.end) if layer else "",
    )


def given_fields(form: Form) -> Fields:
    """Return what was filled in."""
    count = min(sum(key.startswith("key-") for key, _ in form.fields), MAX_VARIANTS + BLANK_ROWS)
    rows = [
        VariantFields(*(form.get(f"{part}-{number}") for part in ("key", "name", "weight", "config")))
        for number in range(count)
    ]
    return Fields(
        name=form.get("name"),
        description=form.get("description").replace("\r\n", "\n"),
        status=form.get("status") or "DRAFT",
        variants=tuple(rows),
        control=form.get("control") or NO_CONTROL,
        platforms=tuple(platform for platform in PLATFORMS if platform in form.all("platform")),
        min_version=form.get("min_version"),
        max_version=form.get("max_version"),
        more=form.get("more"),
        start=form.get("start"),
        end=form.get("end"),
        share=form.get("share"),
        layer_name=form.get("layer_name"),
        layer_from=form.get("layer_from"),
        layer_to=form.get("layer_to"),
    )


def with_blank_row(fields: Fields) -> Fields:
    """Return the form with a row for one more variant."""
    return Fields(**{**fields.__dict__, "variants": (*fields.variants, VariantFields())})


def locked_fields(stored: StoredExperiment | None) -> frozenset[str]:
    """Return the fields of the document that the lifecycle keeps as they are."""
    if stored is None:
        return frozenset()
    if stored.definition.status == "ENDED":
        return frozenset(PLACES) - {"name", "description"}
    return frozenset(("status", "layer")) if stored.has_started else frozenset(("status",))


def document_of(fields: Fields, shown: Fields | None, locked: frozenset[str] = frozenset()) -> tuple[Json, Json]:
    """Return the JSON document that the fields ask for, and what is wrong with texts that are no JSON, by field.

    `shown` is what the form showed before: what is the same is left out, and so is what is `locked`.
    """
    problems: Json = {}
    parts: dict[str, Any] = {
        "name": lambda: fields.name,
        "description": lambda: fields.description or None,
        "status": lambda: fields.status,
        "variants": lambda: _variants(fields, problems),
        "targeting": lambda: _targeting(fields, problems),
        "startDate": lambda: fields.start or None,
        "endDate": lambda: fields.end or None,
        "trafficAllocation": lambda: _share(fields.share),
        "layer": lambda: _layer(fields),
    }
    same = set() if shown is None else {name for name in parts if _texts(fields, name) == _texts(shown, name)}
    document = {name: make() for name, make in parts.items() if name not in same and name not in locked}
    return document, problems


def problems_by_field(problems: Sequence[str], fields: Fields) -> dict[str, str]:
    """Return what `pipeline.experiments.fields` finds wrong, by the form's field; `form` for what belongs to none."""
    rows = [number for number, row in enumerate(fields.variants) if not row.is_blank]
    found: dict[str, str] = {}
    for problem in problems:
        match = _PLACE.match(problem)
        name = match["field"] if match else ""
        if match and name == "variants" and match["number"] is not None and int(match["number"]) < len(rows):
            place = f"{match['part']}-{rows[int(match['number'])]}"
        else:
            place = PLACES.get(name, "form")
        text = problem.partition(" ")[2] if place != "form" else problem
        found.setdefault(place, text)
    return found


def percent(share: float) -> str:
    """Write a share in percent, without inventing or losing digits."""
    return f"{(Decimal(repr(share)) * 100).normalize():f}"


def _texts(fields: Fields, name: str) -> Any:  # noqa: ANN401 - text, or several
    by_name: Mapping[str, Any] = {
        "name": fields.name,
        "description": fields.description.strip(),
        "status": fields.status,
        "variants": fields.rows,
        "targeting": fields.targeting,
        "startDate": fields.start,
        "endDate": fields.end,
        "trafficAllocation": fields.share,
        "layer": fields.layer,
    }
    return by_name[name]


def _variants(fields: Fields, problems: Json) -> list[Json]:
    found = []
    for number, row in enumerate(fields.variants):
        if row.is_blank:
            continue
        variant: Json = {"key": row.key, "weight": _parsed(row.weight), "isControl": fields.control == str(number)}
        if row.name:
            variant["name"] = row.name
        if row.config:
            variant["config"] = _object(row.config, f"config-{number}", problems)
        found.append(variant)
    return found


def _targeting(fields: Fields, problems: Json) -> Json | None:
    rule = _object(fields.more, "targeting", problems) if fields.more else {}
    if fields.platforms:
        rule["platform"] = list(fields.platforms)
    if fields.min_version:
        rule["min_app_version"] = fields.min_version
    if fields.max_version:
        rule["max_app_version"] = fields.max_version
    return rule or None


def _layer(fields: Fields) -> Json | None:
    if not any(fields.layer):
        return None
    return {"name": fields.layer_name, "from": _share(fields.layer_from), "to": _share(fields.layer_to)}


def _share(text: str) -> Any:  # noqa: ANN401 - a number, or the text that is none
    """Return a share of 0 to 1 for a text in percent; the text itself is refused where numbers are checked."""
    try:
        number = Decimal(text.removesuffix("%").strip())
    except InvalidOperation:
        return text
    return float(number / 100) if number.is_finite() and abs(number) < 10**9 else text


def _parsed(text: str) -> Any:  # noqa: ANN401 - as _share
    try:
        number = float(text)
    except ValueError:
        return text
    return number if abs(number) < float("inf") else text


def _object(text: str, place: str, problems: Json) -> Json:
    try:
        found = read_document(text.encode())
    except InvalidRequestError:
        found = None
    if not isinstance(found, dict):
        problems[place] = NOT_JSON
        return {}
    return found


def _number(value: float) -> str:
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)
