"""A real browser for tests: the system's Chromium, and pages that note what must never happen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"
)
LAPTOP, PHONE = {"width": 1366, "height": 768}, {"width": 360, "height": 740}
# Told by the page itself: the browser's console alone may miss one that a script swallows.
WATCH_POLICY = (
    "document.addEventListener('securitypolicyviolation', (e) => console.error('policy: ' + e.violatedDirective))"
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser without a window."""
    with sync_playwright() as playwright:
        # Chromium's own sandbox needs rights that root in a container has not.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@dataclass
class Visitor:
    """A tab of its own profile at a server, and what went wrong in it."""

    page: Page
    url: str
    problems: list[str] = field(default_factory=list)

    def sign_in(self, secret: str) -> None:
        """Sign in by the form."""
        self.page.goto(f"{self.url}/login")
        self.page.fill("#token", secret)
        self.page.press("#token", "Enter")
        self.page.wait_for_url("**/overview")

    def go(self, path: str) -> None:
        """Open a page, and wait until it has drawn its charts."""
        answer = self.page.goto(f"{self.url}{path}")
        assert answer is not None
        assert answer.status == 200, f"{path}: {answer.status}"
        self.page.wait_for_load_state("load")

    def scrolls_sideways(self) -> bool:
        """Whether the page is wider than the window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@contextmanager
def visitor(browser: Browser, url: str, **options: Any) -> Iterator[Visitor]:
    """Open a tab; at the end nothing may have been logged as an error, blocked, or asked of another host."""
    context = browser.new_context(**{"viewport": LAPTOP, **options})
    context.set_default_timeout(60_000)
    page = context.new_page()
    found = Visitor(page, url)
    if options.get("java_script_enabled", True):
        context.add_init_script(WATCH_POLICY)
    page.on("console", lambda message: found.problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.problems.append(str(error)))
    page.on("dialog", lambda dialog: (found.problems.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on(
        "request",
        lambda request: None if request.url.startswith((url, "data:", "blob:")) else found.problems.append(request.url),
    )
    yield found
    context.close()
    assert not found.problems
