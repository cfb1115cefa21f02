"""What people give for an experiment is checked field by field, and every wrong one is named."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.experiments.definition import Definition, LayerSlice, Variant
from pipeline.experiments.fields import (
    MAX_OBJECT_BYTES,
    DefinitionError,
    read_bulk_status,
    read_new,
    read_patch,
    read_time,
)
from tests.pipeline.experiments.stores import VARIANTS

RIGHT: dict[str, Any] = {"name": "Green button", "variants": VARIANTS}


def problems(**fields: Any) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        read_new({**RIGHT, **fields})
    return caught.value.problems


def test_a_new_experiment_needs_a_name_and_variants_alone() -> None:
    variants = (Variant("A", "A", 0.5, True, {}), Variant("B", "B", 0.5, False, {}))
    assert read_new({**RIGHT, "unknown": 1}) == Definition(variants, name="Green button")
    assert read_new({**RIGHT, **dict.fromkeys(("description", "status", "targeting", "trafficAllocation"))}) == (
        Definition(variants, name="Green button")
    )


def test_every_field_is_read() -> None:
    definition = read_new(
        {
            "name": "Green button", "description": "Two\nlines", "status": "RUNNING", "targeting": {"platform": "ios"},
            "variants": [{"key": "A", "name": "As it was", "weight": 3, "config": {"n": [1, None]}}],
            "startDate": "2026-03-01", "endDate": "2026-03-31T23:59:59.1239+01:00", "trafficAllocation": 0.25,
            "layer": {"name": "checkout", "from": 0, "to": 0.5},
        }
    )  # fmt: skip
    assert definition == Definition(
        (Variant("A", "As it was", 3.0, False, {"n": [1, None]}),),
        name="Green button",
        description="Two\nlines",
        status="RUNNING",
        targeting={"platform": "ios"},
        start_at=datetime(2026, 3, 1, tzinfo=UTC),
        end_at=datetime(2026, 3, 31, 22, 59, 59, 123_000, tzinfo=UTC),
        traffic_allocation=0.25,
        layer=LayerSlice("checkout", 0.0, 0.5),
    )


@pytest.mark.parametrize("document", [None, [], "text", 5, True])
def test_what_is_no_object_is_refused(document: object) -> None:
    for read in (read_new, read_patch, read_bulk_status):
        with pytest.raises(DefinitionError, match="must be a JSON object"):
            read(document)


def test_every_wrong_field_is_named_once() -> None:
    assert problems(
        name=" x", description=5, status="running", targeting=[], startDate="soon", endDate="2026-02-30",
        trafficAllocation=1.01, layer={"name": "Big", "from": -0.1}, variants=[{"weight": True}, "B"],
    ) == [
        "description must be a string",
        "targeting must be an object",
        "startDate must be an ISO 8601 date or date-time, such as 2026-03-01T09:00:00Z, or null",
        "endDate is no moment of the calendar",
        "layer.name must match ^[a-z0-9][a-z0-9_-]{0,62}$",
        "layer.from must be a number between 0 and 1",
        "layer.to is required",
        "name must not begin or end with white space",
        "status must be one of: 'DRAFT', 'RUNNING', 'PAUSED' or 'ENDED'",
        "variants[0].key is required",
        "variants[0].weight must be a number",
        "variants[1] must be an object",
        "trafficAllocation must be a number between 0 and 1",
    ]  # fmt: skip


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf, -0.1, 1e10, "1", True, None, [1]])
def test_a_weight_is_a_finite_number_from_0_on(weight: object) -> None:
    (problem,) = problems(variants=[{"key": "A", "weight": weight}, {"key": "B", "weight": 1}])
    assert problem.startswith("variants[0].weight must be a number")


def test_weights_need_a_positive_sum_and_variants_keys_of_their_own_and_one_control() -> None:
    def variant(key: str, weight: float = 1, *, control: bool = False) -> dict[str, Any]:
        return {"key": key, "weight": weight, "isControl": control}

    assert problems(variants=[]) == ["variants must have at least 1 item"]
    assert problems(variants=[variant(str(number)) for number in range(51)]) == ["variants must have at most 50 items"]
    assert problems(variants=[variant("A", 0), variant("B", 0)]) == [
        "variants must have weights whose sum is more than 0"
    ]
    assert problems(variants=[variant("A"), variant("A")]) == ["variants must have keys that differ; twice: A"]
    large = [{**variant(key), "config": {"x": "y" * 30_000}} for key in "ABC"]
    assert problems(variants=large) == ["variants must not have configs of more than 65536 bytes together"]
    assert problems(variants=[variant("A", control=True), variant("B", control=True)]) == [
        "variants must have at most one control (isControl)"
    ]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"name": "a\0"}, "name must not hold U+0000"),
        ({"name": "\ud800"}, "name must not hold a lone surrogate"),
        ({"name": "two\nlines"}, "name must not hold control characters"),
        ({"name": "x" * 201}, "name must have at most 200 characters"),
        ({"name": None}, "name must be a string"),
        ({"description": "\0"}, "description must not hold U+0000"),
        ({"targeting": {"\ud800": 1}}, "targeting must not hold a lone surrogate"),
        ({"targeting": {"n": [2**63]}}, "targeting must not hold a number beyond 64 bits"),
        ({"targeting": {"n": math.nan}}, "targeting must not hold a number beyond 64 bits"),
        ({"targeting": {"x": "y" * MAX_OBJECT_BYTES}}, "targeting must not take more than 32768 bytes"),
        ({"variants": [{"key": "A" * 65, "weight": 1}]}, "variants[0].key must have at most 64 characters"),
        ({"variants": [{"key": "A", "weight": 1, "config": []}]}, "variants[0].config must be an object"),
        ({"layer": {"name": "a", "from": 0.5, "to": 0.5}}, "layer must have a 'from' that is less than its 'to'"),
        ({"layer": {"name": "a", "from": 0.5, "to": 1.1}}, "layer.to must be a number between 0 and 1"),
        ({"startDate": "2026-03-02", "endDate": "2026-03-01"}, "endDate must not be before startDate"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused(fields: dict[str, Any], problem: str) -> None:
    assert problems(**fields) == [problem]


def test_what_is_nested_too_deep_is_refused() -> None:
    nested: dict[str, Any] = {}
    for _ in range(101):
        nested = {"a": nested}
    assert problems(targeting=nested) == ["targeting must not be nested more than 100 levels deep"]


@pytest.mark.parametrize(
    "text", ["", "20260301", "2026-W09-7", "2026-03-01T", "2026-03-01T25:00", "1969-12-31", "9999-12-31T23:59-01:00", 5]
)
def test_what_is_no_time_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"must|moment"):
        read_time(text)


def test_a_change_leaves_what_it_does_not_name_and_null_clears_what_may_be_empty() -> None:
    present = read_new({**RIGHT, "description": "why", "targeting": {"platform": "ios"}, "startDate": "2026-03-01"})
    assert read_patch({})(present) == present
    changed = read_patch({"name": "Blue button", "description": None, "startDate": None})(present)
    assert (changed.name, changed.description, changed.start_at) == ("Blue button", None, None)
    assert (changed.targeting, changed.variants) == (present.targeting, present.variants)
    for field in ("name", "status", "variants", "trafficAllocation"):
        with pytest.raises(DefinitionError, match=f"^{field} must not be null"):
            read_patch({field: None})
    with pytest.raises(DefinitionError, match="endDate must not be before startDate"):
        read_patch({"endDate": "2026-02-01"})(present)


def test_a_change_of_nothing_that_is_known_is_a_mistake() -> None:
    with pytest.raises(DefinitionError, match="nothing to change was given"):
        read_patch({"trafficAlocation": 0.5})


def test_a_bulk_change_names_up_to_100_experiments() -> None:
    assert read_bulk_status({"ids": ["a", "b"], "status": "PAUSED"}) == (["a", "b"], "PAUSED")
    for wrong in ([], ["a"] * 101, [1], None):
        with pytest.raises(DefinitionError, match=r"^ids"):
            read_bulk_status({"ids": wrong, "status": "PAUSED"})


texts = st.text("aA1é\0\ud800 \n:-", max_size=5)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)
FIELDS = (
    "name", "description", "status", "variants", "targeting", "startDate", "endDate", "trafficAllocation", "layer",
)  # fmt: skip


@given(st.dictionaries(st.sampled_from((*FIELDS, "key", "weight")), json_values))
def test_anything_is_read_or_refused_with_reasons(document: dict[str, Any]) -> None:
    for read in (read_new, read_patch, read_bulk_status):
        try:
            read(document)
        except DefinitionError as error:
            assert error.problems
            assert all(problem.strip() for problem in error.problems)
