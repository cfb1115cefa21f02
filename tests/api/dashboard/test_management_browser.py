"""Experiments, ingestion and lake in a real browser: sorting to undoing, forms, replays, both themes, hostile ids."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from api.app import create_app
from pipeline.access.tenants import create_tenant
from pipeline.ingestion.dead_letters import DeadLetter
from pipeline.ingestion.event_store import write
from pipeline.settings import Settings
from tests.api.conftest import TOKEN, SettableClock
from tests.api.dashboard.browsing import LAPTOP, PHONE, Visitor, chromium, needs_browser, visitor
from tests.api.dashboard.conftest import NOON
from tests.api.dashboard.inhabited import inhabit
from tests.api.dashboard.test_browser import HOSTILE, serious_findings, switch_tenant
from tests.api.servers import served
from tests.api.tenants import tenant_key
from tests.databases import migrated_database
from tests.makers import add_experiment

pytestmark = needs_browser

STATUSES = ("RUNNING", "PAUSED", "DRAFT", "ENDED")
GOOD = b'{"event_name": "app_opened", "occurred_at": "2026-02-19T10:00:00Z"}'
# The button that people see: another one, hidden, is what Enter presses.
SEND = ".form .actions-left button.primary"
ENVELOPE = b'{"anonymous_user_id": "somebody_1", "platform": "ios", "app_version": "1.0.0"}'


@dataclass(frozen=True)
class Place:
    """A server with thirty experiments and a few days of events, in a browser."""

    url: str
    browser: Browser
    connection: psycopg.Connection
    read_key: str


@pytest.fixture(scope="module")
def place(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("home")
    with migrated_database(postgres_server) as url, psycopg.connect(url, autocommit=True) as connection:
        create_tenant(connection, "empty")
        create_tenant(connection, "hostile")
        read_key = tenant_key(connection, "default", ["read"])
        settings = Settings.model_validate({"database_url": url, "dashboard_token": TOKEN, "home": home})
        for number in range(30):
            add_experiment(
                connection,
                f"page_{number:02}",
                {"A": 1, "B": 1},
                status=STATUSES[number % 4],
                start_at=NOON - timedelta(days=number),
            )
        for name in HOSTILE:
            add_experiment(connection, name, {name: 1.0}, tenant_id="hostile")
        letters = [
            DeadLetter("hostile", NOON, "mobile", number, name, b"{}", f'{{"event_name": "{number}"}}'.encode())
            for number, name in enumerate(HOSTILE)
        ]
        with connection.transaction():
            write(connection, [], letters)
        inhabit(settings, connection, NOON)
        with served(create_app(settings, SettableClock(NOON))) as served_at, chromium() as browser:
            yield Place(served_at, browser, connection, read_key)


@pytest.fixture
def laptop(place: Place) -> Iterator[Visitor]:
    with visitor(place.browser, place.url, color_scheme="light") as found:
        found.sign_in(TOKEN)
        yield found


def names(visited: Visitor) -> list[str]:
    return visited.page.locator(".experiments tbody th a").all_inner_texts()


def status_of(visited: Visitor, name: str) -> str:
    row = visited.page.locator(".experiments tbody tr", has=visited.page.locator(f"input[value='{name}']"))
    return row.locator(".status").inner_text()


def test_sorting_filtering_and_paging_by_mouse_and_keyboard(laptop: Visitor) -> None:
    laptop.go("/experiments?sort=name")
    first = names(laptop)
    assert first == sorted(first)
    assert len(first) == 25
    with laptop.page.expect_navigation():
        laptop.page.click("text=Next page")
    assert len(names(laptop)) == 6
    assert not set(names(laptop)) & set(first)
    with laptop.page.expect_navigation():
        laptop.page.click("th >> text=Experiment")
    assert laptop.page.locator("th[aria-sort=descending]").inner_text().startswith("Experiment")
    assert names(laptop)[0] == "page_29"
    with laptop.page.expect_navigation():
        laptop.page.select_option("#status", "DRAFT")
    assert {status_of(laptop, name) for name in names(laptop)} == {"Draft"}
    laptop.page.fill("#q", "PAGE_1")
    with laptop.page.expect_navigation():
        laptop.page.press("#q", "Enter")
    assert names(laptop) == ["page_18", "page_14", "page_10"]
    with laptop.page.expect_navigation():
        laptop.page.click("text=Show all")
    assert len(names(laptop)) == 25


def test_bulk_asks_first_says_what_it_did_and_takes_it_back(laptop: Visitor) -> None:
    laptop.go("/experiments?q=page_0&sort=name")
    page = laptop.page
    expect(page.locator("button[value=pause]")).to_be_disabled()
    page.check("input[value=page_00]")
    page.check("input[value=page_04]")
    assert page.inner_text("[data-count]") == "2 selected"
    page.click("button[value=pause]")
    question = page.locator("dialog[data-question]")
    assert "Pause 2 experiments?" in question.inner_text()
    assert serious_findings(laptop) == []
    question.locator("[data-cancel]").click()
    assert status_of(laptop, "page_00") == "Running"
    page.click("button[value=pause]")
    with page.expect_navigation():
        question.locator("[data-yes]").click()
    toast = page.locator("#toasts .toast")
    assert "2 experiments are paused now" in toast.inner_text()
    assert serious_findings(laptop) == []
    assert (status_of(laptop, "page_00"), status_of(laptop, "page_04")) == ("Paused", "Paused")
    assert "done=" not in page.url, "loaded again, it is not told again"
    with page.expect_navigation():
        toast.locator("button").click()
    assert (status_of(laptop, "page_00"), status_of(laptop, "page_04")) == ("Running", "Running")
    page.check("[data-all]")
    assert page.inner_text("[data-count]") == "10 selected"
    page.click("button[value=end]")
    with page.expect_navigation():
        question.locator("[data-yes]").click()
    assert "Not all of them" in page.inner_text("h1")
    assert "A DRAFT experiment cannot become ENDED" in page.inner_text("main")
    laptop.problems.clear()  # the browser logs the 409 itself
    with page.expect_navigation():
        page.click("text=Back")
    assert status_of(laptop, "page_00") == "Ended"
    assert page.locator("#toasts button").count() == 0, "ended is final"


def test_an_experiment_is_made_run_and_edited_with_forms_that_explain(laptop: Visitor) -> None:
    page = laptop.page
    laptop.go("/experiments")
    with page.expect_navigation():
        page.click("text=New experiment")
    page.fill("#field-weight-1", "lots")
    with page.expect_navigation():
        page.click(SEND)
    assert "must not be empty" in page.inner_text("#wrong-name")
    assert "must be a number" in page.inner_text("#wrong-weight-1")
    assert page.evaluate("document.activeElement.id") == "field-name"
    assert serious_findings(laptop) == []
    laptop.problems.clear()  # the browser logs the 400 itself
    page.fill("#field-name", "Green button")
    page.fill("#field-weight-1", "1.5")
    page.fill("#field-config-1", '{"color": "green"}')
    with page.expect_navigation():
        page.click("text=Add a variant")
    page.fill("#field-key-2", "C")
    page.fill("#field-weight-2", "1")
    page.fill("#field-start", "2026-02-01 08:00")
    with page.expect_navigation():
        page.press("#field-name", "Enter")
    page.wait_for_url(re.compile("/experiments/[0-9a-f-]{36}$"))
    assert "The experiment is created" in page.inner_text("#toasts")
    assert page.locator("tbody th").all_inner_texts() == ["A", "B", "C"]
    page.click("button[value=run]")
    with page.expect_navigation():
        page.click("[data-yes]")
    assert "Green button is running now" in page.inner_text("#toasts")
    with page.expect_navigation():
        page.click("text=Edit")
    page.fill("#field-weight-0", "3")
    with page.expect_navigation():
        page.click(SEND)
    assert "version 2" in page.inner_text(".page-head")
    log = page.inner_text("#log")
    assert "dashboard" in log
    assert "Version 2 starts" in log


def test_two_people_edit_and_the_second_learns_of_it(place: Place, laptop: Visitor) -> None:
    laptop.go("/experiments/edit?id=page_02")
    with visitor(place.browser, place.url) as other:
        other.sign_in(TOKEN)
        other.go("/experiments/edit?id=page_02")
        other.page.fill("#field-name", "Theirs")
        with other.page.expect_navigation():
            other.page.click(SEND)
    laptop.page.fill("#field-name", "Mine")
    with laptop.page.expect_navigation():
        laptop.page.click(SEND)
    assert "It was changed while this form was open" in laptop.page.inner_text("main")
    assert "Theirs" in laptop.page.inner_text("main")
    assert laptop.page.input_value("#field-name") == "Mine"
    assert serious_findings(laptop) == []
    laptop.problems.clear()  # the browser logs the 412 itself
    with laptop.page.expect_navigation():
        laptop.page.click(SEND)
    assert laptop.page.inner_text("h1") == "Mine"


def test_a_letter_is_replayed_and_the_page_says_so(place: Place, laptop: Visitor) -> None:
    with place.connection.transaction():
        write(place.connection, [], [DeadLetter("default", NOON, "mobile", 0, "a rule of old", ENVELOPE, GOOD)])
    laptop.go("/ingestion")
    with laptop.page.expect_navigation():
        laptop.page.click("text=a rule of old")
    assert laptop.page.locator(".letters tbody tr").count() == 1
    laptop.page.check(".letters input")
    with laptop.page.expect_navigation():
        laptop.page.click("text=Replay selected")
    assert "1 replayed: 1 events stored" in laptop.page.inner_text("#toasts")


def test_numbers_of_these_pages_open_the_panel(laptop: Visitor) -> None:
    for path, words in (
        ("/ingestion", "FROM ingestion_ledger"),
        ("/lake", "DeltaTable"),
        ("/lake?status=SUCCESS", "./tidemark verify"),
        ("/experiments/checkout", "FROM assigned_counts"),
    ):
        laptop.go(path)
        laptop.page.locator("table.runs a.ask" if "status" in path else "main a.ask").first.click()
        laptop.page.locator("#panel pre.sql:visible").first.wait_for()
        text = laptop.page.inner_text("#panel")
        assert words in text or "read_parquet" in text, path
        assert serious_findings(laptop) == []
        laptop.page.keyboard.press("Escape")


def test_the_numbers_behind_a_chart_come_when_they_are_opened(place: Place, laptop: Visitor) -> None:
    laptop.go("/experiments/checkout")
    numbers = laptop.page.locator("figure.chart details.numbers").first
    assert numbers.locator("table").count() == 0
    numbers.locator("summary").focus()
    laptop.page.keyboard.press("Enter")
    numbers.locator("tbody tr").first.wait_for()
    assert serious_findings(laptop) == []
    assert not laptop.scrolls_sideways()
    with visitor(place.browser, place.url, java_script_enabled=False) as plain:
        plain.sign_in(TOKEN)
        plain.go("/experiments/checkout")
        plain.page.locator("figure.chart details.numbers summary").first.click()
        plain.page.locator("figure.chart details.numbers a").first.click()
        assert plain.page.locator("main tbody tr").count() == numbers.locator("tbody tr").count()
        plain.page.click("text=Back to the page")
        assert plain.page.is_visible("figure.chart")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_these_pages_are_accessible_and_fit_a_laptop_and_a_phone(place: Place, theme: str) -> None:
    paths = ["/experiments?q=page", "/experiments/checkout", "/experiments/new", "/experiments/edit?id=page_03",
             "/ingestion?days=14", "/lake"]  # fmt: skip
    with visitor(place.browser, place.url, color_scheme=theme) as found:
        found.sign_in(TOKEN)
        for path in paths:
            found.page.set_viewport_size(LAPTOP)
            found.go(path)
            assert serious_findings(found) == [], (path, theme)
            assert not found.scrolls_sideways(), (path, "laptop")
            found.page.set_viewport_size(PHONE)
            assert not found.scrolls_sideways(), (path, "phone")


def test_without_data_these_pages_say_what_to_do_and_fit(place: Place) -> None:
    with visitor(place.browser, place.url, viewport=PHONE) as found:
        found.sign_in(TOKEN)
        switch_tenant(found, "empty")
        for path in ("/experiments", "/ingestion", "/experiments?q=x"):
            found.go(path)
            assert found.page.is_visible(".empty"), path
            assert serious_findings(found) == [], path
            assert not found.scrolls_sideways(), path


def test_without_script_experiments_are_changed_after_a_page_that_asks(place: Place) -> None:
    with visitor(place.browser, place.url, java_script_enabled=False) as found:
        found.sign_in(TOKEN)
        found.go("/experiments?q=page_16")
        found.page.check("input[type=checkbox][value=page_16]")
        found.page.click("button[value=pause]")
        assert "Pause 1 experiment?" in found.page.inner_text("h1")
        found.page.click("main button.primary")
        assert "page_16 is paused now" in found.page.inner_text(".notice.done")
        found.page.click(".notice.done button")
        assert status_of(found, "page_16") == "Running"
        for path in ("/ingestion", "/lake", "/experiments/checkout"):
            found.go(path)
            assert found.page.is_visible("main h1")


def test_who_may_only_read_has_no_buttons(place: Place) -> None:
    with visitor(place.browser, place.url) as found:
        found.sign_in(place.read_key)
        for path in ("/experiments", "/experiments/checkout", "/ingestion", "/lake"):
            found.go(path)
            assert found.page.locator("main form[method=post] button").count() == 0, path


def test_nothing_in_an_id_or_a_letter_runs(place: Place) -> None:
    with visitor(place.browser, place.url) as found:
        found.sign_in(TOKEN)
        switch_tenant(found, "hostile")
        found.go("/experiments?sort=name")
        shown = found.page.inner_text("main")
        found.page.click("text=Next page")
        shown += found.page.inner_text("main")
        for name in HOSTILE:
            assert name in shown, "shown as it is"
        for number, name in enumerate(HOSTILE):
            # Both pages show it in the same ways each: half of the names for each is enough.
            path = "/experiments/edit" if number % 2 else "/experiments/by-id"
            found.go(f"{path}?{urlencode({'id': name})}")
            assert found.page.evaluate("window.hacked") is None, name
        found.go("/ingestion")
        assert HOSTILE[0] in found.page.inner_text("main")
        found.page.locator(".reasons a").first.click()
        assert found.page.evaluate("window.hacked") is None
