"""Renders an OpenAPI description as one page: the reference, or with a `Tryout` one to send requests from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from typing import Any


@dataclass(frozen=True)
class Reference:
    """A page: its heading, what stands below it, and whether requests can be sent from it."""

    heading: str
    introduction: str
    stylesheet: str
    script: str | None = None


def render(schema: dict[str, Any], reference: Reference) -> str:
    """Return the page for an OpenAPI description."""
    operations = "".join(
        _operation(schema, path, method, operation, with_form=reference.script is not None)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    )
    script = f'<script src="{escape(reference.script)}" defer></script>' if reference.script else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(reference.heading)}</title>'
        '<meta name="viewport" content="width=device-width">'
        f'<link rel="stylesheet" href="{escape(reference.stylesheet)}">'
        f"{script}</head><body><h1>{escape(reference.heading)}</h1>{reference.introduction}{operations}</body></html>"
    )


def _operation(schema: dict[str, Any], path: str, method: str, operation: dict[str, Any], *, with_form: bool) -> str:
    anchor = escape(operation["operationId"], quote=True)
    parts = [
        f'<h2 id="{anchor}"><span class="method">{method.upper()}</span> <code>{escape(path)}</code></h2>',
        f"<p><b>{escape(_sentence(operation['summary']))}</b> {escape(operation.get('description', ''))}</p>",
    ]
    headers = [_header(schema, name) for scheme in operation.get("security", []) for name in scheme]
    if headers:
        parts.append(f"<p>Who asks: header {' or '.join(headers)}.</p>")
    parameters = [
        (f"{item['name']} ({item['in']})", _constraints(item["schema"]), item.get("description", ""))
        for item in operation.get("parameters", [])
    ]
    if parameters:
        parts.append(_table(("Parameter", "Type", "Meaning"), parameters))
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content:
        parts.append(_table(("Body field", "Type", "Meaning"), _fields(content["schema"], "")))
        example = json.dumps(content.get("example", {}), indent=2)
        parts.append(f"<pre>{escape(_curl(method, path, example))}</pre>")
    answers = []
    for status, answer in operation["responses"].items():
        model = answer["content"]["application/json"]["schema"]
        model = schema["components"]["schemas"][model["$ref"].rsplit("/", 1)[1]]
        answers.append((status, answer["description"], model.get("description", "")))
        if status in ("200", "201") and model.get("examples"):
            parts.append(f"<p>Answers</p><pre>{escape(json.dumps(model['examples'][0], indent=2))}</pre>")
    parts.append(_table(("Status", "", ""), answers))
    if with_form:
        parts.append(_form(path, method, operation))
    return f"<section>{''.join(parts)}</section>"


def _form(path: str, method: str, operation: dict[str, Any]) -> str:
    """Return fields for a request's parameters and body, and the place of its answer."""
    given = operation.get("parameters", [])
    fields = "".join(
        f'<label>{name} <input name="{name}" data-in="{item["in"]}"></label>'
        for item in given
        for name in [escape(item["name"], quote=True)]
    )
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content:
        example = escape(json.dumps(content.get("example", {}), indent=2))
        fields += f'<label>Body <textarea name="body" rows="8" spellcheck="false">{example}</textarea></label>'
    return (
        f'<form data-method="{method.upper()}" data-path="{escape(path, quote=True)}">{fields}'
        f"<button>Send {method.upper()} {escape(path)}</button>"
        '<output aria-live="polite"><pre hidden></pre></output></form>'
    )


def _header(schema: dict[str, Any], scheme: str) -> str:
    return f"<code>{escape(schema['components']['securitySchemes'][scheme]['name'])}</code>"


def _sentence(text: str) -> str:
    return text if text.endswith(("?", "!", ".")) else f"{text}."


def _fields(schema: dict[str, Any], prefix: str) -> list[tuple[str, str, str]]:
    rows = []
    for name, field in schema.get("properties", {}).items():
        needed = "" if name in schema.get("required", []) else "optional, "
        rows.append((prefix + name, needed + _constraints(field), field.get("description", "")))
        if "properties" in field.get("items", {}):
            rows += _fields(field["items"], f"{prefix}{name}[].")
    return rows


def _constraints(schema: dict[str, Any]) -> str:
    variants = [variant for variant in schema.get("anyOf", [schema]) if variant.get("type") != "null"]
    described = variants[0]
    limits = [
        f"{label} {described[key]}"
        for key, label in (
            ("enum", "one of"),
            ("minLength", "min length"),
            ("maxLength", "max length"),
            ("minItems", "min items"),
            ("maxItems", "max items"),
            ("minimum", "min"),
            ("maximum", "max"),
            ("default", "default"),
            ("pattern", "matches"),
        )
        if key in described and described[key] != {}
    ]
    return ", ".join([str(described.get("type", "any")), *limits])


def _table(titles: tuple[str, str, str], rows: list[tuple[str, str, str]]) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(kind)}</td><td>{escape(meaning)}</td></tr>"
        for name, kind, meaning in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _curl(method: str, path: str, example: str) -> str:
    return f"curl -X {method.upper()} localhost:3000{path} -H 'content-type: application/json' -d '{example}'"
