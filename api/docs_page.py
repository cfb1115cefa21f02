"""GET /docs: the reference as one plain page, made from the OpenAPI schema; it loads nothing from anywhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin: 2.5rem 0 0; font-size: 1.15rem; }
code, pre { font: 14px/1.45 ui-monospace, monospace; }
pre { padding: .75rem; overflow-x: auto; border: 1px solid #8886; border-radius: .4rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8884; }
.method { display: inline-block; min-width: 3.2rem; font-weight: 700; }
"""

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Show the reference."""
    return HTMLResponse(render(request.app.openapi()))


def render(schema: dict[str, Any]) -> str:
    """Return the page for an OpenAPI schema."""
    info = schema["info"]
    operations = "".join(
        _operation(schema, path, method, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])} API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f"<h1>{escape(info['title'])} API {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
        '<p>As OpenAPI: <a href="openapi.json">openapi.json</a></p>'
        f"{operations}</body></html>"
    )


def _operation(schema: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> str:
    anchor = escape(operation["operationId"], quote=True)
    parts = [
        f'<h2 id="{anchor}"><span class="method">{method.upper()}</span> <code>{escape(path)}</code></h2>',
        f"<p><b>{escape(_sentence(operation['summary']))}</b> {escape(operation.get('description', ''))}</p>",
    ]
    if operation.get("security"):
        parts.append("<p>Needs the header <code>x-dashboard-token</code>.</p>")
    parameters = [
        (f"{item['name']} ({item['in']})", _constraints(item["schema"]), item.get("description", ""))
        for item in operation.get("parameters", [])
    ]
    if parameters:
        parts.append(_table(("Parameter", "Type", "Meaning"), parameters))
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content:
        parts.append(_table(("Body field", "Type", "Meaning"), _fields(content["schema"], "")))
        example = json.dumps(content["example"], indent=2)
        parts.append(f"<pre>{escape(_curl(path, example))}</pre>")
    answers = []
    for status, answer in operation["responses"].items():
        model = answer["content"]["application/json"]["schema"]
        model = schema["components"]["schemas"][model["$ref"].rsplit("/", 1)[1]]
        answers.append((status, answer["description"], model.get("description", "")))
        if status == "200" and model.get("examples"):
            parts.append(f"<p>Answers</p><pre>{escape(json.dumps(model['examples'][0], indent=2))}</pre>")
    parts.append(_table(("Status", "", ""), answers))
    return "".join(parts)


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


def _curl(path: str, example: str) -> str:
    return f"curl -X POST localhost:3000{path} -H 'content-type: application/json' -d '{example}'"
