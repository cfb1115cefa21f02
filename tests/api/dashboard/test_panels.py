"""Every number on every page says where it comes from, and what it says is so."""

from __future__ import annotations

import re
from collections import defaultdict
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.api.conftest import TOKEN
from tests.api.dashboard.conftest import World
from tests.api.dashboard.page_text import Page, csv_rows
from tests.api.servers import NO_TLS

PAGES = (
    "/overview", "/experiments", "/experiments/checkout", "/funnels", "/funnels?by=checkout", "/funnels?order=no",
    "/funnels?show=days", "/retention?by=checkout", "/ingestion", "/lake",
    *(f"/experiments/checkout?numbers={name}" for name in ("assigned", "users_assigned", "sessions_submitted_d7")),
    "/ingestion?numbers=lag",
)  # fmt: skip
# What somebody has decided or the calendar says, and what the process that answers says of itself at this moment.
NOT_MEASURED = {"Weight", "Planned", "Days after", "Traffic", "Revision", "Version", "Letter"}
MEASURED = {"big", "n", "figures", "loss", "period-figure", "reason-count"}
EMPTY = {"br", "circle", "col", "hr", "img", "input", "line", "link", "meta", "path", "polyline", "rect"}
SAMPLES = 3


class Numbers(HTMLParser):
    """The numbers within a page's elements of MEASURED classes that no link explains, each with what it is called."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.explained = 0
        self.unexplained: list[tuple[str, str]] = []
        self._open: list[tuple[str, set[str]]] = []
        self._heads: list[str] = []
        self._column = 0
        self._title = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in EMPTY:
            return
        self._open.append((tag, set((dict(attrs).get("class") or "").split())))
        if tag == "thead":
            self._heads = []
        elif tag == "th" and self._is_within("thead"):
            self._heads.append("")
        elif tag == "tr":
            self._column = -1
        if tag in ("td", "th"):
            self._column += 1
        elif tag in ("h2", "h3"):
            self._title = ""

    def handle_endtag(self, tag: str) -> None:
        while tag not in EMPTY and self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._is_within("thead") and self._heads:
            self._heads[-1] += data.strip()
        elif self._is_within("h2") or self._is_within("h3"):
            self._title += data.strip()
        elif re.search(r"\d", data) and any(classes & MEASURED for _, classes in self._open):
            if any("hidden" in classes for _, classes in self._open):
                return
            if any("ask" in classes for _, classes in self._open):
                self.explained += 1
            elif not data.strip().startswith("planned "):
                in_table = self._is_within("td") and self._column < len(self._heads)
                self.unexplained.append((self._heads[self._column] if in_table else self._title, data.strip()))

    def _is_within(self, tag: str) -> bool:
        return any(name == tag for name, _ in self._open)


@pytest.mark.parametrize("path", PAGES)
def test_every_number_leads_to_where_it_comes_from(lived: World, path: str) -> None:
    answer = lived.client().get(path)
    assert answer.status_code == 200
    found = Numbers(answer.text)
    assert [(name, text) for name, text in found.unexplained if name not in NOT_MEASURED] == []
    assert found.explained


def test_what_is_not_explained_is_seen() -> None:
    head = '<table><thead><tr><th>Day</th><th class="n">Events</th></tr></thead>'
    row = '<tr><th class="when">1</th><td class="n">7</td><td class="n"><a class="ask" href="x">8</a></td></tr>'
    found = Numbers(f"{head}{row}</table><h2>New</h2><p class='big'>9 <span>of 10</span></p>")
    assert (found.explained, found.unexplained) == (1, [("Events", "7"), ("New", "9"), ("New", "of 10")])


def test_every_kind_of_panel_answers(lived: World) -> None:
    client = lived.client()
    kinds: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for path in PAGES:
        for address in Page(client.get(path).text).asks():
            query = parse_qs(urlsplit(address).query)
            kinds[(urlsplit(address).path, *query.get("metric", ()), *sorted(query))].add(address)
    assert len(kinds) >= 30
    for kind, addresses in kinds.items():
        for address in sorted(addresses)[:SAMPLES]:
            panel = client.get(address, headers={"hx-request": "true"})
            assert panel.status_code == 200, (kind, address, panel.text)
            assert 'id="panel-title"' in panel.text
            assert client.get(address).text.startswith("<!doctype html>"), address


def test_a_change_rests_on_both_windows(lived: World) -> None:
    client = lived.client()
    address = next(found for found in Page(client.get("/overview?days=7").text).asks() if "change=1" in found)
    assert urlsplit(address).path == "/provenance"
    parts = [row["day"] for row in csv_rows(client.get(f"{address}&csv=parts"))]
    window = [row["day"] for row in csv_rows(client.get(f"{address.replace('&change=1', '')}&csv=parts"))]
    assert len(window) == 6
    assert parts[:6] == window
    assert len(parts) > 6
    assert "14 days to 2026-02-19: the window and the one before it" in client.get(address).text


def test_the_panel_of_a_run_is_its_record(lived: World) -> None:
    client = lived.client()
    shown = csv_rows(client.get("/lake?csv=runs"))[0]
    answer = httpx.get(
        f"{lived.url}/v1/runs/{shown['run_id']}", headers={"x-dashboard-token": TOKEN}, timeout=30, verify=NO_TLS
    )
    run = answer.json()
    panel = client.get(f"/provenance/run?id={shown['run_id']}").text
    for text in (run["run_id"], f"./tidemark verify {run['run_id']}", run["code_version"], *run["engines"].values()):
        assert text in panel
    for statement in run["statements"]:
        assert f"<code>{statement['name']}</code>" in panel
    assert f"{len(run['files'])} file" in panel
    for query, status in (("", 400), ("?id=x", 400), ("?id=00000000-0000-4000-8000-000000000000", 404)):
        assert client.get(f"/provenance/run{query}").status_code == status


def test_runs_and_the_log_of_the_lake_are_the_operators(lived: World) -> None:
    run_id = csv_rows(lived.client().get("/lake?csv=runs"))[0]["run_id"]
    tenant = lived.client(lived.read_key)
    for path in (f"/provenance/run?id={run_id}", "/provenance/lake"):
        assert tenant.get(path).status_code == 403
        assert lived.client(None).get(path).status_code == 303
    assert tenant.get("/provenance?metric=dead_letters").status_code == 200


def test_the_letters_of_a_panel_are_those_of_the_page(lived: World) -> None:
    client = lived.client()
    reasons = {row["reason"]: row["letters"] for row in csv_rows(client.get("/ingestion?csv=reasons"))}
    parts = csv_rows(client.get("/provenance?metric=dead_letters&csv=parts"))
    assert {row["reason"]: row["letters"] for row in parts} == reasons != {}
