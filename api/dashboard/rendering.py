"""Templates into pages: Jinja with everything escaped, an undefined name being an error."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from api.dashboard import formats
from api.dashboard.asking import ask
from api.dashboard.static_files import static_url
from pipeline.rollups.metric_catalogue import entry

TEMPLATES = Path(__file__).with_name("templates")
FILTERS = (
    formats.count,
    formats.short_count,
    formats.share,
    formats.seconds,
    formats.byte_size,
    formats.change,
    formats.points,
    formats.moment,
    formats.short_moment,
    formats.short_day,
    formats.clock_time,
    formats.day,
)


def render(template: str, **context: Any) -> str:  # noqa: ANN401 - whatever the template shows
    """Return a template's text. Every value is escaped, but for what is Markup: what `api.dashboard.charts` draws."""
    return environment().get_template(template).render(**context)


@cache
def environment() -> Environment:
    """Return the templates' environment; each template is compiled once in a process."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update({function.__name__: function for function in (*FILTERS, marked_code)})
    made.globals.update(static_url=static_url, catalogue_entry=entry, ask=ask)
    return made


def marked_code(text: str) -> Markup:
    """Return a text with what stands between backticks as code; all of it is escaped."""
    parts = str(text).split("`")
    return Markup("").join(  # every part goes through an escaping format
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )
