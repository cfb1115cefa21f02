"""The reference as web pages: complete, closed to everything foreign, and in a browser good for sending requests."""

from __future__ import annotations

import json
import re

import httpx
import psycopg

from api.app import create_app
from pipeline.settings import Settings
from tests.api.dashboard.browsing import chromium, needs_browser, visitor
from tests.api.servers import NO_TLS, served
from tests.api.tenants import tenant_key


def test_the_campaign_page_shows_its_endpoints_and_loads_only_its_own_files(client: httpx.Client) -> None:
    page = client.get("/api")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    paths = [path for path in client.get("/openapi.json").json()["paths"] if path.startswith("/api/")]
    assert len(paths) > 8
    for path in paths:
        assert f"<code>{path}</code>" in page.text
    assert re.findall(r"(?:src|href)=\"([^\"]+)", page.text) == ["/reference.css", "/reference.js"]
    for asset, kind in (("/reference.css", "text/css"), ("/reference.js", "text/javascript")):
        assert client.get(asset).headers["content-type"].startswith(kind)


@needs_browser
def test_a_key_is_entered_and_a_request_sent(connection: psycopg.Connection, settings: Settings) -> None:
    key = tenant_key(connection, "acme")
    with (
        served(create_app(settings)) as url,
        chromium() as browser,
        visitor(browser, url) as visit,
        httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client,
    ):
        visit.go("/api")
        form = visit.page.locator('form[data-path="/api/events"]')
        form.locator("textarea").fill(json.dumps({"userId": "u<b>", "eventType": "CLICK"}))
        visit.page.fill("#key input", key)
        form.locator("button").click()
        shown = form.locator("output pre")
        visit.page.wait_for_function("element => element.textContent.startsWith('201')", arg=shown.element_handle())
        assert '"status": "accepted"' in (shown.text_content() or "")
        summary = visit.page.locator('form[data-path="/api/analytics/summary"]')
        summary.locator('input[name="experimentId"]').fill("none & nothing")
        summary.locator("button").click()
        answer = summary.locator("output pre")
        visit.page.wait_for_function("element => element.textContent.startsWith('200')", arg=answer.element_handle())
        assert '"totalEvents": 0' in (answer.text_content() or "")
        assert client.get("/api/analytics/summary", headers={"x-api-key": key}).json()["totalEvents"] == 1
