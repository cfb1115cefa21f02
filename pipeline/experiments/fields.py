"""Reads what people give for an experiment: every field checked, every wrong one named, nothing converted.

Takes plain JSON values (dict, list, str, int, float, bool, None). Unknown fields are ignored, as everywhere in the API;
a change that names none of the known ones is refused, since it must be a mistake.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from pipeline.experiments.definition import Definition, LayerSlice, Status, Variant
from pipeline.experiments.json_values import encoded_size, text_problem, value_problem

MAX_VARIANTS = 50
MAX_KEY, MAX_NAME, MAX_DESCRIPTION = 64, 200, 4_000
MAX_OBJECT_BYTES = 32 * 2**10
# A list shows hundreds of experiments with all of their configs, and one answer is held in memory as a whole.
MAX_CONFIG_BYTES = 64 * 2**10
LAYER_PATTERN = "^[a-z0-9][a-z0-9_-]{0,62}$"
FIRST_MOMENT, LAST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_CONTROL = re.compile("[\x00-\x1f\x7f]")


class DefinitionError(Exception):
    """What was given cannot be an experiment; `problems` has one text for each field that is wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


def read_time(text: object) -> datetime | None:
    """Read an ISO 8601 date or date-time; without an offset it is UTC. Cut to the millisecond, as it is shown.

    Raises ValueError for anything else, and outside 1970 to 9999.
    """
    if text is None:
        return None
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        raise ValueError("must be an ISO 8601 date or date-time, such as 2026-03-01T09:00:00Z, or null")
    # Python reads no more than six digits of a second.
    given = re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", text).upper()
    try:
        moment = datetime.fromisoformat(given)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("is no moment of the calendar") from error
    if not FIRST_MOMENT <= moment <= LAST_MOMENT:
        raise ValueError("must lie between 1970 and 9999")
    return moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)


def _line(text: str) -> str:
    """A text on one line that shows as it is: no control characters, no white space around it."""
    problem = text_problem(text)
    if problem:
        raise ValueError(problem)
    if _CONTROL.search(text):
        raise ValueError("must not hold control characters")
    if text != text.strip():
        raise ValueError("must not begin or end with white space")
    return text


def _text(text: str) -> str:
    problem = text_problem(text)
    if problem:
        raise ValueError(problem)
    return text


def _small_object(value: dict[str, Any] | None) -> dict[str, Any] | None:
    problem = value_problem(value)
    if problem:
        raise ValueError(problem)
    if encoded_size(value) > MAX_OBJECT_BYTES:
        raise ValueError(f"must not take more than {MAX_OBJECT_BYTES} bytes")
    return value


def _size(lowest: float, highest: float) -> Callable[[float], float]:
    def check(number: float) -> float:
        if not lowest <= number <= highest:
            raise ValueError(f"must be a number between {lowest:g} and {highest:.15g}")
        return number

    return check


Key = Annotated[str, Field(min_length=1, max_length=MAX_KEY), AfterValidator(_line)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_line)]
Description = Annotated[str, Field(max_length=MAX_DESCRIPTION), AfterValidator(_text)]
JsonObject = Annotated[dict[str, Any] | None, AfterValidator(_small_object)]
Weight = Annotated[float, AfterValidator(_size(0, 1e9)), Field(json_schema_extra={"minimum": 0, "maximum": 1e9})]
Share = Annotated[float, AfterValidator(_size(0, 1)), Field(json_schema_extra={"minimum": 0, "maximum": 1})]
Time = Annotated[
    datetime | None,
    BeforeValidator(read_time),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}),
]


class _Fields(BaseModel):
    """No conversions: a weight of "1" is a mistake."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class VariantFields(_Fields):
    """A variant. Its `weight` is relative to the others; 0 takes no new users."""

    key: Key
    name: Name | None = Field(None, description="Shown to people; the key when it is missing.")
    weight: Weight
    is_control: bool | None = Field(None, alias="isControl", description="At most one variant is the control.")
    config: JsonObject = Field(None, description="Merged into the app's configuration of those who have the variant.")

    def variant(self) -> Variant:
        """Return what is meant."""
        return Variant(self.key, self.name or self.key, self.weight, bool(self.is_control), self.config or {})


class LayerFields(_Fields):
    """A slice [from, to) of a layer: no user is in two experiments of a layer."""

    name: Annotated[str, Field(pattern=LAYER_PATTERN)]
    start: Share = Field(alias="from")
    end: Share = Field(alias="to")


def _not_null(value: object) -> object:
    if value is None:
        raise ValueError("must not be null")
    return value


def _checked_layer(layer: LayerFields | None) -> LayerFields | None:
    if layer is not None and layer.start >= layer.end:
        raise ValueError("must have a 'from' that is less than its 'to'")
    return layer


def _checked_variants(variants: list[VariantFields]) -> list[VariantFields]:
    keys = [variant.key for variant in variants]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"must have keys that differ; twice: {', '.join(twice)}")
    if sum(bool(variant.is_control) for variant in variants) > 1:
        raise ValueError("must have at most one control (isControl)")
    if not math.fsum(variant.weight for variant in variants) > 0:
        raise ValueError("must have weights whose sum is more than 0")
    if sum(encoded_size(variant.config) for variant in variants) > MAX_CONFIG_BYTES:
        raise ValueError(f"must not have configs of more than {MAX_CONFIG_BYTES} bytes together")
    return variants


Variants = Annotated[
    list[VariantFields], Field(min_length=1, max_length=MAX_VARIANTS), AfterValidator(_checked_variants)
]
Layer = Annotated[LayerFields | None, AfterValidator(_checked_layer)]


class _NotNull:
    """Takes null out of the description of a field that may be missing."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:  # noqa: ANN401 - as pydantic calls it
        described = handler(schema)
        return described["anyOf"][0]


Value = TypeVar("Value")
Given = Annotated[Value | None, AfterValidator(_not_null), _NotNull()]


class _Optional(_Fields):
    description: Description | None = None
    targeting: JsonObject = Field(None, description="As in tests.json: platform, min_app_version, max_app_version.")
    start_at: Time = Field(None, alias="startDate", description="From when on users are assigned; null: at once.")
    end_at: Time = Field(None, alias="endDate", description="Until when, included; null: for ever.")
    layer: Layer = Field(None, description="Fixed once the experiment has left DRAFT.")


class NewExperiment(_Optional):
    """A new experiment."""

    name: Name
    status: Status | None = Field(None, description="DRAFT when it is missing.")
    variants: Variants
    traffic_allocation: Share | None = Field(
        None, alias="trafficAllocation", description="Share of the users that are enrolled; 1 when it is missing."
    )


class ExperimentPatch(_Optional):
    """A change: fields that are missing stay as they are, null clears those that may be empty."""

    name: Given[Name] = None
    status: Given[Status] = None
    variants: Given[Variants] = Field(None, description="All of them: the list is replaced.")
    traffic_allocation: Given[Share] = Field(None, alias="trafficAllocation")


class BulkStatus(_Fields):
    """A status for several experiments."""

    ids: Annotated[list[str], Field(min_length=1, max_length=100)]
    status: Status


def read_new(document: object) -> Definition:
    """Read a new experiment. Raises DefinitionError."""
    return _merged(Definition(()), _read(NewExperiment, document))


def read_patch(document: object) -> Callable[[Definition], Definition]:
    """Read a change; returns what makes the wanted definition of the present one.

    Raises DefinitionError, and so does what is returned when the whole does not fit together.
    """
    patch = _read(ExperimentPatch, document)
    if isinstance(document, dict) and document and not patch.model_fields_set:
        names = ", ".join(field.alias or name for name, field in ExperimentPatch.model_fields.items())
        raise DefinitionError([f"nothing to change was given; what can be changed: {names}"])
    return lambda present: _merged(present, patch)


def read_bulk_status(document: object) -> tuple[list[str], Status]:
    """Read which experiments are to have which status. Raises DefinitionError."""
    bulk = _read(BulkStatus, document)
    return bulk.ids, bulk.status


def _merged(present: Definition, given: NewExperiment | ExperimentPatch) -> Definition:
    values: dict[str, Any] = {}
    for name in given.model_fields_set:
        value = getattr(given, name)
        if isinstance(value, LayerFields):
            value = LayerSlice(value.name, value.start, value.end)
        elif name == "variants":
            value = tuple(variant.variant() for variant in value)
        elif value is None and name in ("status", "traffic_allocation"):
            continue
        values[name] = value
    wanted = replace(present, **values)
    if wanted.start_at and wanted.end_at and wanted.start_at > wanted.end_at:
        raise DefinitionError(["endDate must not be before startDate"])
    return wanted


def _read(model: Any, document: object) -> Any:  # noqa: ANN401 - a model's class and its instance
    if not isinstance(document, dict):
        raise DefinitionError(["the body must be a JSON object"])
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found: dict[str, str] = {}
        for problem in error.errors(include_url=False, include_input=False):
            found.setdefault(_place(problem["loc"]), _message(problem))
        raise DefinitionError([f"{place} {message}" for place, message in found.items()]) from error


def _place(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


_MESSAGES = {
    "missing": "is required",
    "string_type": "must be a string",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "string_unicode": "must not hold a lone surrogate",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "list_type": "must be a list",
    "too_short": "must have at least {min_length} item",
    "too_long": "must have at most {max_length} items",
    "literal_error": "must be one of: {expected}",
    "value_error": "{error}",
}


def _message(problem: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    template = _MESSAGES.get(problem["type"])
    return problem["msg"] if template is None else template.format(**problem.get("ctx", {}))
