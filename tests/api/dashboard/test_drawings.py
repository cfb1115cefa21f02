"""What pages are drawn from: SVG that escapes, scales that are round, formats that claim no more than they know."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, datetime, timedelta
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from api.dashboard import formats
from api.dashboard.asking import ask
from api.dashboard.charts.bar import bar
from api.dashboard.charts.scale import MAX_LINES, nice_ticks
from api.dashboard.charts.sparkline import HEIGHT, MARGIN, WIDTH, sparkline
from api.dashboard.charts.svg import element
from api.dashboard.charts.time_series import Series, TimeSeries, variant_colors
from api.dashboard.rendering import marked_code, render
from api.dashboard.sql_text import highlighted
from api.dashboard.tables import Cell, Column, Table, to_csv
from tests.makers import NOW

HOSTILE = "</title><script>alert(1)</script>\"' onload=x"
NOTHING, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
NUMBERS = st.one_of(st.none(), st.floats(0, 1e12, allow_nan=False))


def parsed(drawing: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(str(drawing))


def test_elements_escape_text_and_attributes() -> None:
    made = parsed(element("svg", element("title", HOSTILE), "a < b", data_label=HOSTILE, width=12.345, height=None))
    assert made.attrib == {"data-label": HOSTILE, "width": "12.3"}
    assert made[0].text == HOSTILE


@given(st.lists(NUMBERS, max_size=40), st.integers(0, 3), st.booleans())
def test_a_sparkline_stays_in_its_box_and_leaves_gaps(values: list[float | None], partial: int, zero: bool) -> None:
    drawing = parsed(sparkline(values, HOSTILE, partial=min(partial, len(values)), from_zero=zero))
    assert drawing[0].text == HOSTILE
    drawn = 0
    for line in drawing.iter("polyline"):
        places = [tuple(map(float, place.split(","))) for place in line.attrib["points"].split()]
        assert len(places) >= 2
        drawn += len(places)
        for x, y in places:
            assert MARGIN - 0.1 <= x <= WIDTH
            assert MARGIN - 0.1 <= y <= HEIGHT - MARGIN + 0.1
    if None not in values and len(values) > 1 and not partial:
        assert drawn == len(values)


def test_the_open_end_of_a_line_is_dashed_and_joined_to_the_rest() -> None:
    lines = list(parsed(sparkline([1, 2, 3, 4], "x", partial=1)).iter("polyline"))
    assert [line.attrib["class"] for line in lines] == ["line", "line partial"]
    assert lines[0].attrib["points"].split()[-1] == lines[1].attrib["points"].split()[0]


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
def test_ticks_are_few_even_and_around_what_they_measure(low: float, spread: float) -> None:
    ticks = nice_ticks(low, low + spread)
    assert 2 <= len(ticks) <= MAX_LINES
    unseen = (abs(low) + spread) * 1e-6 + 1e-9  # a millionth of the axis is less than a pixel
    assert ticks[0] <= low + unseen
    assert ticks[-1] >= low + spread - unseen
    steps = [after - before for before, after in pairwise(ticks)]
    assert all(step > 0 for step in steps)
    assert max(steps) - min(steps) <= max(steps) * 1e-3 + 1e-6


def test_ticks_are_numbers_that_people_count_in() -> None:
    assert nice_ticks(0, 43) == [0, 20, 40, 60]
    assert nice_ticks(0, 0.37) == [0, 0.1, 0.2, 0.3, 0.4]
    assert nice_ticks(0, 0) == [0, 0.25, 0.5, 0.75, 1]
    assert nice_ticks(float("nan"), 1) == nice_ticks(0, 1)


@pytest.mark.parametrize(("share", "width"), [(0.0, "0"), (0.5, "500"), (1.0, "1000"), (1.7, "1000"), (-1.0, "0")])
def test_a_bar_begins_at_zero_and_ends_at_its_share(share: float, width: str) -> None:
    [ghost, filled] = parsed(bar(share, color=3, ghost=0.9))
    assert (filled.attrib["width"], filled.attrib["class"]) == (width, "fill v3")
    assert (ghost.attrib["width"], ghost.attrib["class"]) == ("900", "ghost")


def test_a_time_series_is_the_same_for_the_server_and_the_script() -> None:
    days = [date(2026, 2, 17) + timedelta(days=number) for number in range(3)]
    series = TimeSeries(HOSTILE, days, (Series(HOSTILE, [1, None, 3.5], 8, of=[10, None, 12]),), partial=1)
    data = json.loads(series.data())
    assert data["days"] == [1771286400, 1771372800, 1771459200]
    assert data["series"] == [{"label": HOSTILE, "color": 1, "values": [1, None, 3.5], "of": [10, None, 12]}]
    drawing = parsed(series.svg())
    assert drawing[0].text == HOSTILE
    assert [text.text for text in drawing.iter("text")][-3:] == ["17 Feb", "18 Feb", "19 Feb"]
    assert [line.attrib["class"] for line in drawing.iter("polyline")] == ["line", "line partial"]
    empty = parsed(TimeSeries("x", [], ()).svg())
    assert not list(empty.iter("polyline"))


def test_variants_keep_their_colors_and_the_control_is_grey() -> None:
    assert variant_colors([("B", False), ("A", True), ("C", False)]) == {"A": 0, "B": 1, "C": 2}
    many = variant_colors([(str(number), False) for number in range(9)])
    assert (many["0"], many["5"], many["6"]) == (1, 6, 1)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (formats.count(None), NOTHING), (formats.count(1234567), "1\u202f234\u202f567"), (formats.count(33.37), "33.4"),
        (formats.count(133.7), "134"), (formats.count(-1200), f"{MINUS}1\u202f200"), (formats.count(0), "0"),
        (formats.short_count(950), "950"), (formats.short_count(1234), "1.2k"), (formats.short_count(34_000), "34k"),
        (formats.short_count(5_600_000), "5.6M"), (formats.share(0.4215), "42.1%"), (formats.share(0.4215, 19), "42%"),
        (formats.share(0.4215, 20), "42.1%"), (formats.share(None), NOTHING), (formats.seconds(0.32), "320 ms"),
        (formats.seconds(1.23), "1.2 s"), (formats.seconds(0), "0 s"), (formats.seconds(180), "3 min"),
        (formats.seconds(7_200), "2 h"), (formats.seconds(90_000), "1.0 d"), (formats.byte_size(812), "812 B"),
        (formats.byte_size(4_100), "4.1 kB"), (formats.change(0.123), "+12%"), (formats.change(-0.034), f"{MINUS}3.4%"),
        (formats.change(0), "±0%"), (formats.change(None), NOTHING), (formats.points(0.018), "+1.8 points"),
        (formats.points(-0.2), f"{MINUS}20.0 points"), (formats.day("2026-02-19"), "Thu 19 Feb"),
        (formats.moment(NOW), "19 Feb 2026 00:00 UTC"),
        (formats.moment("2026-02-19T08:30:05.731Z"), "19 Feb 2026 08:30 UTC"),
        (formats.clock_time(NOW, NOW), "00:00 UTC"),
        (formats.clock_time(NOW - timedelta(days=1), NOW), "18 Feb 00:00 UTC"),
    ],
)  # fmt: skip
def test_numbers_and_times_are_written_as_people_read_them(written: str, text: str) -> None:
    assert written == text


def test_times_of_other_zones_are_written_in_utc() -> None:
    assert formats.moment(datetime.fromisoformat("2026-02-19T01:30:00+02:00")) == "18 Feb 2026 23:30 UTC"


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "  @x", "\N{FULLWIDTH EQUALS SIGN}1")


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_of_a_download_is_a_formula(text: str) -> None:
    table = Table("t", "T", (Column("name", "Name"), Column("n", "N", "count")), [[Cell(text), Cell(-5)]])
    [head, row] = list(csv.reader(io.StringIO(to_csv(table).decode("utf-8-sig"), newline="")))
    assert head == ["name", "n"]
    assert row == [f"'{text}", "-5"], "numbers stay numbers"


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_download_gives_every_text_back(texts: list[str]) -> None:
    table = Table(
        "t", "T", [Column(str(number), "x") for number in range(len(texts))], [[Cell(text) for text in texts]]
    )
    rows = list(csv.reader(io.StringIO(to_csv(table).decode("utf-8-sig"), newline="")))
    assert len(rows) == 2
    for text, found in zip(texts, rows[1], strict=True):
        sent = text.encode("utf-8", "replace").decode()
        assert found in (sent, f"'{sent}")


def test_a_table_escapes_what_it_shows() -> None:
    columns = (Column("a", HOSTILE), Column("b", "B", "share"), Column("c", "C", "day"))
    cells = [Cell(HOSTILE, href=HOSTILE), Cell(0.5, ask(HOSTILE), of=40, look=HOSTILE, note=HOSTILE), Cell(None)]
    [head, share, day] = parsed(Table("t", "T", columns, [cells]).body())
    assert (head.tag, head.attrib, head[0].attrib, head[0].text) == ("th", {"scope": "row"}, {"href": HOSTILE}, HOSTILE)
    assert share.attrib == {"class": f"n {HOSTILE}", "title": HOSTILE}
    assert (share[0].attrib["class"], share[0].text) == ("ask", "50.0%")
    assert parse_qs(urlsplit(share[0].attrib["href"]).query) == {"metric": [HOSTILE]}
    assert share[1].text == f" ({HOSTILE})"
    assert (day.tag, day.attrib, day.text) == ("td", {"class": "when"}, NOTHING)


def test_a_failure_and_marked_code_are_escaped() -> None:
    assert "<script>" not in render("failed_fragment.html", status=1, title=HOSTILE, message=HOSTILE)
    assert str(marked_code(f"`{HOSTILE}` {HOSTILE}")).count("<code>") == 1
    assert "<script>" not in str(marked_code(f"`{HOSTILE}` {HOSTILE}"))


@given(st.dictionaries(st.sampled_from(("dimension", "experiment", "variant", "step")), st.text(), max_size=4))
def test_a_question_keeps_what_it_is_about(given_values: dict[str, str]) -> None:
    query = urlsplit(ask("dau", day=date(2026, 2, 19), days_after=7, **given_values)).query  # type: ignore[arg-type]
    found = {name: value for name, [value] in parse_qs(query, keep_blank_values=True).items()}
    assert found == {"metric": "dau", "day": "2026-02-19", "days_after": "7", **given_values}


def test_sql_is_marked_and_escaped() -> None:
    shown = str(highlighted("-- a <b>\nSELECT 'x''<i>' FROM t WHERE a < 1 AND selected"))
    assert '<span class="co">-- a &lt;b&gt;</span>' in shown
    assert '<span class="kw">SELECT</span> <span class="st">&#39;x&#39;&#39;&lt;i&gt;&#39;</span>' in shown
    assert "a &lt; 1" in shown
    assert "selected" in shown
    assert '"kw">selected' not in shown
