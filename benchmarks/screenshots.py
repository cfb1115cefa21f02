"""Takes the pictures of the README from a running demo: `./tidemark demo`, then `python -m benchmarks.screenshots`.

Needs a Chromium of the system. Each picture must stay small enough for a page that many load.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, sync_playwright

from api.dashboard.one_time_link import make_link
from pipeline.settings import REPOSITORY, Settings

FOLDER = REPOSITORY / "docs/images"
MAX_BYTES = 150_000
WIDTH, HEIGHT = 1180, 640


@dataclass(frozen=True)
class Picture:
    """A page in a theme; `click` is a selector to click on before, `wait` one to wait for then."""

    name: str
    path: str
    theme: Literal["light", "dark"]
    click: str | None = None
    wait: str = "main h1"


PICTURES = (
    Picture("dashboard-overview", "/overview", "light"),
    Picture("dashboard-experiment", "/experiments/exp_4_achievements_density", "dark"),
    Picture("dashboard-funnel", "/funnels?by=exp_4_achievements_density", "light"),
    Picture(
        "dashboard-provenance", "/overview", "dark", "table a.ask[href*='metric=dau&']:not(.incomplete *)", "pre.sql"
    ),
)


def main() -> None:
    """Take all pictures, or fail."""
    settings = Settings()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__)
    parser.add_argument("--url", default=f"http://127.0.0.1:{settings.port}")
    parser.add_argument("--home", type=Path, default=settings.home, help="the TIDEMARK_HOME of what runs there")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for picture in PICTURES:
            path = options.folder / f"{picture.name}.png"
            take(browser, picture, make_link(options.home, options.url), options.url, path)
            size = path.stat().st_size
            print(f"{path.name}: {size / 1e3:.0f} kB")
            if size > MAX_BYTES:
                raise SystemExit(f"{path.name} is too large")
        browser.close()


def take(browser: Browser, picture: Picture, link: str, url: str, path: Path) -> None:
    """Sign in by a link of its own and take one picture."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=picture.theme)
    page = context.new_page()
    page.goto(link)
    page.goto(f"{url}{picture.path}")
    if picture.click:
        page.locator(picture.click).first.click()
    page.locator(picture.wait).first.wait_for()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=path)
    context.close()


if __name__ == "__main__":
    main()
