"""The pages in a real browser: a small demo's data and none, both themes, a laptop and a phone, without script too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest
from playwright.sync_api import Browser

from api.dashboard.one_time_link import make_link
from pipeline.access.tenants import create_tenant
from pipeline.settings import REPOSITORY
from tests.api.dashboard.browsing import LAPTOP, PHONE, Visitor, chromium, needs_browser, visitor
from tests.api.dashboard.publishing import Publication, publish
from tests.cli.demo.worlds import NOON
from tests.databases import migrated_database
from tests.makers import add_experiment
from tests.notebooks.demo_home import TOKEN, demo_home
from tests.waiting import wait_until

pytestmark = needs_browser

AXE = (REPOSITORY / "tests/data/axe/axe-4.14.1.min.js").read_text(encoding="utf-8")
PAGES = ("/overview", "/funnels", "/retention", "/metrics-catalogue")
DENSITY = "exp_4_achievements_density"
# What would run, were a page to forget to escape: each sets `hacked` or opens a dialog.
HOSTILE = (
    "<script>window.hacked=1</script>",
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "<svg onload=window.hacked=1>",
    "<svg><script>window.hacked=1</script></svg>",
    '"><script>window.hacked=1</script>',
    "'><script>window.hacked=1</script>",
    '" onmouseover="window.hacked=1" x="',
    "' onfocus='window.hacked=1' autofocus='",
    "javascript:window.hacked=1",
    "<a href=javascript:window.hacked=1>x</a>",
    "<iframe srcdoc='<script>parent.hacked=1</script>'></iframe>",
    "<body onload=window.hacked=1>",
    "<input autofocus onfocus=window.hacked=1>",
    "<details open ontoggle=window.hacked=1>",
    "<style>*{display:none}</style>",
    "<base href=https://evil.example/>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<form action=https://evil.example><button>x",
    "{{7*7}}{% for x in y %}",
    "${window.hacked=1}",
    "`-window.hacked=1-`",
    "</title><script>window.hacked=1</script>",
    "</select><script>window.hacked=1</script>",
    "</table><img src=x onerror=window.hacked=1>",
    "<!--<script>window.hacked=1</script>-->",
    "&lt;script&gt;window.hacked=1&lt;/script&gt;",
    '=HYPERLINK("https://evil.example","x")',
    "\N{RIGHT-TO-LEFT OVERRIDE}<hx-partial hx-get='/logout' hx-on:load='window.hacked=1'>",
)


@dataclass(frozen=True)
class Site:
    """A server with a small demo, and tenants `empty` and `hostile`, in a browser."""

    url: str
    home: Path
    browser: Browser


@pytest.fixture(scope="module")
def site(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("demo") / "home"
    with migrated_database(postgres_server) as url, demo_home(home, url) as demo, chromium() as browser:
        with psycopg.connect(url, autocommit=True) as connection:
            # After the demo's rollup, which publishes zeros for every tenant there is.
            create_tenant(connection, "empty")
            create_tenant(connection, "hostile")
            add_experiment(connection, HOSTILE[0], dict.fromkeys(HOSTILE, 1.0), tenant_id="hostile")
            for name in HOSTILE[1:]:
                add_experiment(connection, name, {name: 1.0}, tenant_id="hostile")
            named = [(HOSTILE[0], HOSTILE)]
            publish(connection, Publication("hostile", NOON, days=4, events=HOSTILE, experiments=named))
        yield Site(f"http://127.0.0.1:{demo.port}", home, browser)


@pytest.fixture
def laptop(site: Site) -> Iterator[Visitor]:
    with visitor(site.browser, site.url, color_scheme="light") as found:
        found.sign_in(TOKEN)
        yield found


def serious_findings(visited: Visitor) -> list[str]:
    visited.page.evaluate(AXE)
    found = visited.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"][:3]
    ]


def switch_tenant(visited: Visitor, tenant: str) -> None:
    # Made while the server ran, a tenant is known within two seconds.
    wait_until(lambda: visited.go("/overview") or visited.page.locator(f"#tenant option[value={tenant}]").count())
    with visited.page.expect_navigation():
        visited.page.select_option("#tenant", tenant)
    assert visited.page.input_value("#tenant") == tenant


def test_signing_in_wrong_and_right_and_out(site: Site) -> None:
    with visitor(site.browser, site.url) as stranger:
        stranger.page.goto(f"{site.url}/funnels?days=7")
        assert stranger.page.url.endswith("/login?next=%2Ffunnels%3Fdays%3D7")
        stranger.page.fill("#token", "wrong")
        stranger.page.click("form[action='/login'] button")
        assert "neither the dashboard token" in stranger.page.inner_text("[role=alert]")
        stranger.problems.clear()  # the browser logs the 401 itself
        stranger.page.fill("#token", TOKEN)
        stranger.page.press("#token", "Enter")
        stranger.page.wait_for_url("**/funnels?days=7")
        stranger.page.click("text=Sign out")
        stranger.page.wait_for_url("**/login")
        stranger.page.goto(f"{site.url}/overview")
        assert "/login" in stranger.page.url


def test_the_printed_link_signs_in_once(site: Site) -> None:
    link = make_link(site.home, site.url)
    with visitor(site.browser, site.url) as first, visitor(site.browser, site.url) as second:
        first.page.goto(link)
        assert first.page.url == f"{site.url}/overview"
        second.page.goto(link)
        assert "has been used" in second.page.inner_text("[role=alert]")
        second.problems.clear()  # the browser logs the 401 itself


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible_and_fits_a_laptop_and_a_phone(site: Site, theme: str) -> None:
    paths = [
        "/overview", "/metrics-catalogue", f"/funnels?by={DENSITY}", "/funnels?order=no&show=days&days=7",
        f"/retention?by={DENSITY}&variant=B", "/provenance?metric=dau_mean",
        f"/provenance?metric=dau&day={NOON.date()}",
    ]  # fmt: skip
    with visitor(site.browser, site.url, color_scheme=theme) as found:
        found.sign_in(TOKEN)
        for path in paths:
            found.page.set_viewport_size(LAPTOP)
            found.go(path)
            assert serious_findings(found) == [], (path, theme)
            assert not found.scrolls_sideways(), (path, "laptop")
            found.page.set_viewport_size(PHONE)
            assert not found.scrolls_sideways(), (path, "phone")
            assert found.page.is_visible("nav.bottom")
            assert not found.page.is_visible("nav.side")


def test_pages_without_data_are_accessible_and_fit_too(site: Site) -> None:
    with visitor(site.browser, site.url, viewport=PHONE) as found:
        found.sign_in(TOKEN)
        switch_tenant(found, "empty")
        for path in PAGES[:3]:
            found.go(path)
            assert found.page.is_visible(".empty code") or "Nothing" in found.page.inner_text("main")
            assert serious_findings(found) == [], path
            assert not found.scrolls_sideways(), path


def test_the_sign_in_is_accessible_in_both_themes_and_fits_a_phone(site: Site) -> None:
    for theme in ("light", "dark"):
        with visitor(site.browser, site.url, color_scheme=theme, viewport=PHONE) as found:
            found.go("/login")
            assert serious_findings(found) == []
            assert not found.scrolls_sideways()


def test_the_overview_is_one_glance_on_a_laptop(laptop: Visitor) -> None:
    laptop.go("/overview")
    for part in (".cards", ".chart", ".columns .table-block"):
        box = laptop.page.locator(part).first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= LAPTOP["height"], part
    assert laptop.page.locator(".plot canvas").count() == 1, "the chart is drawn by the script"


def test_the_chart_shows_values_at_the_pointer(laptop: Visitor) -> None:
    laptop.go("/overview")
    box = laptop.page.locator(".plot .u-over").bounding_box()
    assert box is not None
    laptop.page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 60)
    tip = laptop.page.locator(".plot .tip")
    tip.wait_for(state="visible")
    assert f"{NOON.day} Nov (not complete)" in tip.inner_text()
    assert "Daily active users: " in tip.inner_text()


def test_a_number_says_where_it_comes_from_by_mouse_and_by_keyboard(laptop: Visitor) -> None:
    laptop.go("/overview")
    number = laptop.page.locator(".card .big a.ask").first
    number.click()
    panel = laptop.page.locator("#panel")
    panel.locator("table").wait_for()
    assert "Daily active users, mean" in panel.inner_text()
    assert serious_findings(laptop) == []
    panel.locator("td a.ask").first.click()
    panel.locator("pre.sql").first.wait_for()
    text = panel.inner_text()
    for wanted in ("distinct users with an event that day", "daily_metrics_rollup", "version 1", "SELECT", "duckdb",
                   "./tidemark verify"):  # fmt: skip
        assert wanted in text
    assert serious_findings(laptop) == []
    laptop.page.keyboard.press("Escape")
    assert not panel.is_visible()
    number.focus()
    laptop.page.keyboard.press("Enter")
    panel.locator("table").wait_for()
    assert laptop.page.evaluate("document.activeElement.closest('#panel') !== null"), "the focus is in the panel"
    panel.locator("[data-close]").click()
    assert not panel.is_visible()


def test_a_number_that_cannot_be_traced_says_so_in_the_panel(laptop: Visitor) -> None:
    laptop.go("/overview")
    number = laptop.page.locator(".card .big a.ask").first
    number.evaluate("link => { link.href = '/provenance?metric=dau&day=2026-01-01' }")
    number.click()
    panel = laptop.page.locator("#panel .failed")
    panel.wait_for()
    assert "nothing is published for dau" in panel.inner_text()
    laptop.problems.clear()  # the browser logs the 404 itself
    laptop.page.context.set_offline(True)
    laptop.page.keyboard.press("Escape")
    number.click()
    laptop.page.wait_for_function("document.querySelector('#panel').textContent.includes('The server did not answer')")
    laptop.problems.clear()


def test_the_published_value_in_the_panel_is_the_one_on_the_page(laptop: Visitor) -> None:
    laptop.go("/retention")
    cell = laptop.page.locator("td:not(.incomplete) a.ask[href*='retention_rate']").first
    cell.click()
    laptop.page.locator("#panel pre.sql").first.wait_for()
    assert laptop.page.locator("#panel .big").inner_text().split()[0].rstrip("%0").rstrip(
        "."
    ) == cell.inner_text().rstrip("%0").rstrip(".")


def test_a_theme_that_was_chosen_is_remembered(site: Site) -> None:
    with visitor(site.browser, site.url, color_scheme="light") as found:
        found.sign_in(TOKEN)
        background = "getComputedStyle(document.body).backgroundColor"
        light = found.page.evaluate(background)
        found.page.select_option("#theme", "dark")
        dark = found.page.evaluate(background)
        assert dark != light
        found.go("/funnels")
        assert found.page.evaluate(background) == dark
        found.page.select_option("#theme", "system")
        assert found.page.evaluate(background) == light
        found.page.emulate_media(color_scheme="dark")
        assert found.page.evaluate(background) == dark


def test_window_and_filters_work_by_keyboard(laptop: Visitor) -> None:
    laptop.go("/funnels")
    laptop.page.keyboard.press("Tab")
    assert laptop.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    laptop.page.keyboard.press("Enter")
    assert laptop.page.evaluate("document.activeElement.id") == "content"
    laptop.page.focus(".switch a")
    with laptop.page.expect_navigation():
        laptop.page.keyboard.press("Enter")
    assert "days=7" in laptop.page.url
    with laptop.page.expect_navigation():
        laptop.page.select_option("#by", DENSITY)
    assert laptop.page.locator(".steps .key.v0").count() == 5, "the control is grey at each of the five steps"
    assert "days=7" in laptop.page.url


def test_a_phone_reaches_every_page(site: Site) -> None:
    with visitor(site.browser, site.url, viewport=PHONE) as found:
        found.sign_in(TOKEN)
        found.page.click("nav.bottom >> text=Retention")
        found.page.wait_for_url("**/retention")
        found.page.click("nav.bottom summary")
        found.page.click("nav.bottom li >> text=Metrics")
        found.page.wait_for_url("**/metrics-catalogue")


def test_without_script_everything_can_be_read(site: Site) -> None:
    with visitor(site.browser, site.url, java_script_enabled=False) as found:
        found.sign_in(TOKEN)
        for path in PAGES:
            found.go(path)
            assert found.page.is_visible("main h1")
        found.go("/overview")
        assert found.page.is_visible(".plot svg.series")
        found.page.locator(".card .big a.ask").first.click()
        found.page.wait_for_url("**/provenance?**")
        assert "Where does this come from?" in found.page.inner_text("main")
        found.go("/funnels")
        found.page.select_option("#by", DENSITY)
        found.page.click(".filters button")
        assert found.page.locator(".steps .key").count() == 10
        found.page.select_option("#theme", "dark")
        found.page.click(".theme button")
        assert found.page.locator("html").get_attribute("data-theme") == "dark"
        found.page.click("text=Sign out")
        assert "/login" in found.page.url


def test_nothing_that_clients_send_runs(site: Site) -> None:
    assert len(set(HOSTILE)) == 30
    with visitor(site.browser, site.url) as found:
        found.sign_in(TOKEN)
        switch_tenant(found, "hostile")
        by = urlencode({"by": HOSTILE[0]})
        paths = ["/overview", f"/funnels?{by}&show=days", f"/retention?{by}", "/funnels"]
        for path in paths:
            found.go(path)
            assert found.page.evaluate("window.hacked") is None, path
            assert found.page.is_visible("main h1"), path
        found.go("/overview")
        shown = found.page.inner_text("main")
        for name in HOSTILE:
            assert name in shown, "shown as it is"
        found.page.locator("a.ask[href*='events_total']").nth(2).click()
        found.page.locator("#panel table").wait_for()
        for name in (HOSTILE[2], HOSTILE[-1]):
            found.go(f"/provenance?{urlencode({'metric': 'events_total', 'dimension': name})}")
            assert name in found.page.inner_text("main")
        assert found.page.evaluate("window.hacked") is None
