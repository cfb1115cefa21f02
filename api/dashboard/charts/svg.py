"""SVG elements as safe text: names and attributes are ours, every value is escaped."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape


def element(tag: str, *children: Markup | str, **attributes: object) -> Markup:
    """Return an element; text among the children is escaped, attributes that are None are left out.

    `class_` means class, and an underscore within a name a hyphen. There is no `style`: the pages' policy forbids it.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_written(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    inner = "".join(str(escape(child)) for child in children)
    return Markup(f"<{tag}{written}>{inner}</{tag}>")


def group(parts: Iterable[Markup], **attributes: object) -> Markup:
    """Return a `g` of the parts."""
    return element("g", *parts, **attributes)


def points(coordinates: Iterable[tuple[float, float]]) -> str:
    """Return coordinates for a polyline, to a tenth."""
    return " ".join([f"{x:.1f},{y:.1f}" for x, y in coordinates])


def _written(value: object) -> str:
    """Write a number with one digit after the point at most: more cannot be seen."""
    if isinstance(value, float):
        text = f"{value:.1f}"
        return text[:-2] if text.endswith(".0") else text
    return str(value)
