"""A page as a reader meets it: its tables, links and elements, taken out of the HTML by the standard library."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser

import httpx


class Page(HTMLParser):
    """What is in a page: `tables` as rows of texts, `links` by their text, and every attribute of every element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.links: list[tuple[str, str]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[list[str]] = [[]]
        self._hidden = 0
        self._href: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th", "a"):
            self._texts.append([])
            if tag == "a":
                self._href = attributes.get("href")
        if self._hidden or (tag == "span" and attributes.get("class") == "hidden"):
            self._hidden += tag == "span"

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            self._hidden -= tag == "span"
        if tag in ("td", "th", "a"):
            text = "".join(self._texts.pop()).strip()
            self._texts[-1].append(text)
            if tag == "a":
                self.links.append((text, self._href or ""))
            else:
                self.tables[-1][-1].append(text)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._texts[-1].append(data)

    def asks(self) -> list[str]:
        """The addresses that explain numbers."""
        return [
            attributes["href"] or ""
            for tag, attributes in self.elements
            if tag == "a" and attributes.get("class") == "ask"
        ]


def csv_rows(answer: httpx.Response) -> list[dict[str, str]]:
    """The rows of a CSV download."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
