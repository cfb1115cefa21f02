"""The report's lines for people, also where a short demo has no cohort that is complete."""

from __future__ import annotations

from datetime import date

from cli.demo.report import EventCounts, LakeCounts, Report, VariantReport, lines


def variant(variant_id: str, *, is_control: bool, rate: float | None, effect: float | None) -> VariantReport:
    return VariantReport("exp_3_landing_journey", variant_id, "name", is_control, 650, 600, rate, effect, 0.04)


def text(*variants: VariantReport) -> str:
    report = Report(
        users=2_000,
        first_day=date(2026, 10, 21),
        last_day=date(2026, 11, 19),
        seed=12,
        events=EventCounts(96_817, 1_990, 6_004, 535, 1_629, 3_295, 0),
        lake=LakeCounts(96_817, 30, 2),
        published_rows={"daily_metric_rollups": 780, "funnel_rollups": 899},
        day_before={"dau": 326.0, "new_users": 73.0, "logging_rate_24h": 0.37, "ingestion_lag_p50": 33.4},
        variants=variants,
    )
    return "\n".join(lines(report))


def test_numbers_are_shown_with_effects_beside_the_truth() -> None:
    shown = text(
        variant("A", is_control=True, rate=0.373, effect=None), variant("C", is_control=False, rate=0.406, effect=0.033)
    )
    for part in ("1,990 people, 96,817 events", "3,295 were sent again and stored once", "On 2026-11-18: 326 active"):
        assert part in shown
    control, treated = shown.splitlines()[-2:]
    assert control.split() == ["exp_3_landing_journey", "A", "name", "650", "37.3%", "-", "control"]
    assert treated.split() == ["exp_3_landing_journey", "C", "name", "650", "40.6%", "+3.3", "+4.0"]


def test_a_demo_without_a_complete_cohort_shows_no_rate() -> None:
    assert text(variant("C", is_control=False, rate=None, effect=None)).splitlines()[-1].split()[-3:] == [
        "-",
        "-",
        "+4.0",
    ]
    assert all(len(line) <= 130 for line in text().splitlines())
