"""Figures and forms of experiments, without a server: splits by version, shares so far, forms that lose nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dashboard.experiment_fields import (
    Fields,
    VariantFields,
    blank_fields,
    document_of,
    locked_fields,
    percent,
    problems_by_field,
    shown_fields,
)
from api.dashboard.experiment_figures import groups_of, metric_series, share_so_far, split
from api.metrics.window import MetricsWindow
from pipeline.experiments.definition import Definition, LayerSlice, StoredExperiment, Variant
from pipeline.experiments.fields import DefinitionError, read_new, read_patch

TODAY = date(2026, 2, 19)
NOW = datetime(2026, 2, 19, 12, tzinfo=UTC)
WINDOW = MetricsWindow(7, TODAY)
VARIANTS = (
    Variant("B", "Green", 3.0, False, {"a": [1, None]}),
    Variant("A", "A", 1.0, True, {}),
    Variant("C", "C", 0.0, False, {}),
)


def experiment(version: int = 1, **changes: Any) -> StoredExperiment:
    given = {"variants": VARIANTS, "name": "x", "status": "RUNNING", **changes}
    return StoredExperiment("exp", Definition(**given), version, 3, NOW, NOW, NOW)


def test_the_control_comes_first_and_is_grey_and_the_others_keep_their_order() -> None:
    assert [(group.key, group.color) for group in groups_of(experiment())] == [("A", 0), ("B", 1), ("C", 2)]


def test_a_split_compares_those_who_came_by_the_present_weights() -> None:
    counts = {
        ("A", TODAY): 30,
        ("B", TODAY): 50,
        ("B", TODAY - timedelta(days=9)): 20,
        ("C", TODAY): 5,
        ("Z", TODAY): 2,
    }
    plan = split(experiment(), counts, ())
    assert (plan.users, plan.others, plan.first) == (100, 7, None)
    found = {row.group.key: (row.users, row.expected_share, row.expected_users, row.actual_share) for row in plan.rows}
    assert found == {"A": (30, 0.25, 25.0, 0.3), "B": (70, 0.75, 75.0, 0.7)}
    assert plan.largest is not None
    assert round(plan.largest.difference or 0, 9) in (0.05, -0.05)


def test_a_new_version_counts_from_its_first_whole_day() -> None:
    versions = [{"version": 1, "since": NOW - timedelta(days=9)}, {"version": 2, "since": NOW - timedelta(days=2)}]
    counts = {("A", TODAY - timedelta(days=back)): 10**back for back in range(5)}
    plan = split(experiment(2), counts, versions)
    assert plan.first == TODAY - timedelta(days=1)
    assert plan.users == 11, "the day of the change has users of both"
    shares = share_so_far(plan, counts, WINDOW)
    assert shares.series[0].values == [None] * 5 + [1.0, 1.0]


def test_without_users_there_is_no_share() -> None:
    plan = split(experiment(), {}, ())
    assert [(row.expected_share, row.actual_share, row.difference) for row in plan.rows] == [
        (0.25, None, None), (0.75, None, None),
    ]  # fmt: skip
    assert plan.largest is None


def test_shares_so_far_begin_with_those_before_the_window() -> None:
    counts = {("A", TODAY - timedelta(days=30)): 10, ("B", TODAY - timedelta(days=6)): 30, ("A", TODAY): 20}
    shares = share_so_far(split(experiment(), counts, ()), counts, WINDOW)
    assert shares.series[0].label == "A (planned 25.0%)"
    assert shares.series[0].values == [0.25] * 6 + [0.5]
    assert shares.series[0].of == [40.0] * 6 + [60.0]


def test_a_rate_of_nobody_is_a_gap_and_a_count_of_nobody_is_zero() -> None:
    def row(name: str, size: int) -> dict[str, Any]:
        return {
            "day": str(TODAY),
            "variant_id": "A",
            "metric_name": name,
            "value": 0,
            "dimensions": {"cohort_size": size},
        }

    groups = groups_of(experiment())
    rate = metric_series(groups, [row("logging_rate_24h_by_variant", 0)], WINDOW, "logging_rate_24h_by_variant")
    assert rate.series[0].values == [None] * 7
    rate = metric_series(groups, [row("logging_rate_24h_by_variant", 4)], WINDOW, "logging_rate_24h_by_variant")
    assert rate.series[0].values == [None] * 6 + [0.0]
    active = metric_series(groups, [row("users_active_d1", 0)], WINDOW, "users_active_d1")
    assert active.series[0].values == [None] * 6 + [0.0]
    assert metric_series(groups, [], WINDOW, "sessions_submitted_d7").partial == 6, "eight days, of a window of seven"


texts = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=20).map(str.strip)
shares = st.integers(0, 1_000).map(lambda number: number / 1_000)
variants = st.lists(
    st.builds(
        Variant,
        key=texts.filter(bool),
        name=texts.filter(bool),
        weight=st.floats(0, 1e9, allow_nan=False),
        is_control=st.just(False),
        config=st.dictionaries(texts, st.one_of(st.none(), st.integers(-9, 9), texts), max_size=2),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda variant: variant.key,
)
definitions = st.builds(
    Definition,
    variants=variants.map(tuple),
    name=texts.filter(bool),
    description=st.one_of(st.none(), texts.filter(bool)),
    status=st.just("DRAFT"),
    targeting=st.one_of(
        st.none(),
        st.fixed_dictionaries(
            {"platform": st.sampled_from((["ios"], ["android", "ios"]))}, optional={"min_app_version": st.just("1.2")}
        ),
    ),
    start_at=st.one_of(st.none(), st.just(NOW)),
    traffic_allocation=shares,
    layer=st.one_of(st.none(), st.just(LayerSlice("checkout", 0.1, 0.7))),
)


@given(definitions)
def test_a_form_asks_for_nothing_when_opened_and_for_the_same_when_sent_as_new(definition: Definition) -> None:
    shown = shown_fields(definition)
    assert document_of(shown, shown) == ({}, {})
    document, problems = document_of(shown, None)
    assert not problems
    if not any(variant.weight for variant in definition.variants):
        with pytest.raises(DefinitionError):
            read_new(document)
        return
    again = read_new(document)
    assert again.fields() | {"targeting": None} == definition.fields() | {"targeting": None}
    if definition.targeting:
        assert {**again.targeting, "platform": sorted(again.targeting["platform"])} == {
            **definition.targeting, "platform": sorted(definition.targeting["platform"]),
        }  # fmt: skip


@given(shares)
def test_percent_loses_and_invents_no_digit(share: float) -> None:
    document, _ = document_of(Fields(share=percent(share)), None)
    assert document["trafficAllocation"] == share
    assert "E" not in percent(share)


@pytest.mark.parametrize(
    "targeting",
    [{}, {"platform": "ios"}, {"platform": ["web"]}, {"min_app_version": 3}, {"country": "AT"}, ["ios"], "x"],
)
def test_a_rule_that_no_form_would_make_survives_one(targeting: Any) -> None:
    shown = shown_fields(Definition(VARIANTS, targeting=targeting))
    assert document_of(shown, shown) == ({}, {})
    other = Fields(**{**shown.__dict__, "name": "another"})
    assert document_of(other, shown) == ({"name": "another"}, {})


def test_problems_stand_at_the_row_that_has_them_though_others_are_blank() -> None:
    fields = Fields(variants=(VariantFields(), VariantFields("A", "", "x"), VariantFields("B", "", "1")))
    document, _ = document_of(fields, None)
    with pytest.raises(DefinitionError) as refused:
        read_new(document)
    found = problems_by_field(refused.value.problems, fields)
    assert found["weight-1"] == "must be a number"
    assert found["name"] == "must not be empty"
    assert problems_by_field(["something else"], fields) == {"form": "something else"}


def test_what_is_locked_is_not_asked_for() -> None:
    running, ended = experiment(), experiment(status="ENDED")
    assert locked_fields(None) == frozenset()
    assert locked_fields(running) == {"layer", "status"}
    document, _ = document_of(blank_fields(), shown_fields(ended.definition), locked_fields(ended))
    assert document == {"name": ""}
    with pytest.raises(DefinitionError):
        read_patch(document)(ended.definition)
