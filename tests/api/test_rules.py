"""The pure rules of the mobile contract against its vectors: bucketing, targeting, merging, times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.assignment.bucketing import bucketing_order, choose_variant, unit_interval
from api.assignment.config import merge
from api.assignment.experiments import Variant
from api.assignment.targeting import coerce_version, matches
from api.identifiers import mask
from api.ingestion.timestamps import TimestampError, TimestampRangeError, parse_timestamp
from tests.api.vectors import VECTORS


def variant(variant_id: str, weight: float = 1.0) -> Variant:
    return Variant(variant_id, variant_id, weight, {})


def test_users_fall_into_the_buckets_of_the_vectors() -> None:
    for case in VECTORS["buckets"]:
        user, experiment_id = case["anonymous_user_id"], case["experiment_id"]
        variants = [variant(one["variant_id"], one["weight"]) for one in VECTORS["variants"][experiment_id]]
        assert unit_interval(user, experiment_id) == case["unit"]
        assert choose_variant(user, experiment_id, variants).variant_id == case["variant_id"]


def test_the_order_of_variants_given_does_not_matter() -> None:
    variants = [variant("A", 0.34), variant("B", 0.33), variant("b", 0.1), variant("C", 0.33)]
    for number in range(50):
        assert len({choose_variant(f"u{number}", "exp", order).variant_id for order in permutations(variants)}) == 1


def test_variants_are_ordered_as_javascript_orders_them() -> None:
    ids = ["b", "B", "a", "c", "A", "a_1", "a1", "a-1", "10", "9", "Z", "ab", "aB", "AB", "a.1"]
    ordered = [one.variant_id for one in bucketing_order([variant(one) for one in ids])]
    assert ordered == ["10", "9", "a", "A", "a_1", "a-1", "a.1", "a1", "ab", "aB", "AB", "b", "B", "c", "Z"]


def test_an_experiment_without_variants_has_no_bucket() -> None:
    with pytest.raises(ValueError, match="no variants"):
        choose_variant("u", "exp", [])


def test_targeting_matches_as_in_the_vectors() -> None:
    for case in VECTORS["targeting"]:
        assert matches(case["targeting"], case["platform"], case["app_version"]) is case["match"], case


def test_versions_are_read_as_npm_semver_coerces_them() -> None:
    cases = {
        "1": (1, 0, 0), "v2.0.1": (2, 0, 1), "1.2.3.4": (1, 2, 3), "build 7.1-rc": (7, 1, 0), "a1b2": (1, 0, 0),
        "01.2": None, "": None, "abc": None, "12345678901234567": None, "9007199254740992": None, "\uff11.2": (2, 0, 0),
    }  # fmt: skip
    assert {text: coerce_version(text) for text in cases} == cases
    assert coerce_version(None) is None


def test_objects_merge_as_in_the_vectors() -> None:
    for case in VECTORS["merges"]:
        assert merge(case["base"], case["override"]) == case["merged"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-18", "2026-02-18T00:00:00+00:00"),
        ("2026-02-18T23:58", "2026-02-18T23:58:00+00:00"),
        ("2026-02-18 23:58:01", "2026-02-18T23:58:01+00:00"),
        ("2026-02-18T23:58:01.1Z", "2026-02-18T23:58:01.100000+00:00"),
        ("2026-02-18T23:58:01.123456999z", "2026-02-18T23:58:01.123456+00:00"),
        ("2026-02-18T23:58:01+14:00", "2026-02-18T09:58:01+00:00"),
        ("2026-02-18T23:58:01-0130", "2026-02-19T01:28:01+00:00"),
        ("2026-02-18T23:58:01+05", "2026-02-18T18:58:01+00:00"),
        ("2026-02-28T24:00:00.000Z", "2026-03-01T00:00:00+00:00"),
        ("2024-02-29", "2024-02-29T00:00:00+00:00"),
        ("1970-01-01", "1970-01-01T00:00:00+00:00"),
    ],
)
def test_times_are_read(text: str, expected: str) -> None:
    assert parse_timestamp(text).isoformat() == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "1771459080000", "2026-02-30", "2026-13-01", "2026-02-18T24:00:01", "2026-02-18T23:58:60Z",
        "2026-02-18T23:58:01+24:00", "2026-02-18T23:58:01+05:60", "2026-02-18T23", "20260218", "2026-W08-3",
        "2026-02-18T23:58:01,5", " 2026-02-18", "2026-02-18\n", "\uff12026-02-18", "2026-02-18T24:00:00.5",
        "Nov 20 2026", "infinity", "-200000-01-01", "2026-2-18", "2026-02-18T23:58:01.Z", "2026-02-18Z",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(TimestampError):
        parse_timestamp(text)


@pytest.mark.parametrize(
    "text",
    ["1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00+00:01", "0001-01-01T00:00:00+14:00",
     "9999-12-31T23:59:59-00:01", "9999-12-31T24:00:00"],
)  # fmt: skip
def test_times_outside_1970_to_9999_are_refused_as_such(text: str) -> None:
    with pytest.raises(TimestampRangeError):
        parse_timestamp(text)


@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(9998, 1, 1)),
    st.integers(min_value=-23 * 60 - 59, max_value=23 * 60 + 59),
)
def test_every_time_written_with_an_offset_is_that_moment(moment: datetime, offset: int) -> None:
    sign = "-" if offset < 0 else "+"
    hours, minutes = divmod(abs(offset), 60)
    text = f"{moment.isoformat(timespec='microseconds')}{sign}{hours:02}:{minutes:02}"
    assert parse_timestamp(text) == moment.replace(tzinfo=UTC) - timedelta(minutes=offset)


@pytest.mark.parametrize(("text", "shown"), [("123456789012", "123456789012"), ("1234567890123", "12345678...0123")])
def test_ids_in_logs_are_shortened(text: str, shown: str) -> None:
    assert mask(text) == shown
