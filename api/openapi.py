"""Descriptions of requests that routes read by themselves, for OpenAPI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import SkipJsonSchema

# As the type of an optional field: absent, but not null.
Absent = SkipJsonSchema[None]


class DocumentedApi(FastAPI):
    """An application whose OpenAPI is true: examples with their nulls, which FastAPI drops, and no 422.

    FastAPI adds that to every route with a parameter; wrong parameters are answered 400 here.
    """

    response_models: Sequence[type[BaseModel]] = ()

    def openapi(self) -> dict[str, Any]:
        """Return the schema, made once."""
        schema = super().openapi()
        components = schema["components"]["schemas"]
        for model in self.response_models:
            components[model.__name__]["examples"] = model.model_json_schema()["examples"]
        for operations in schema["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            components.pop(name, None)
        return schema


def json_body(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """Describe a JSON body (openapi_extra) by a model, its definitions inlined."""
    schema = _inlined(model.model_json_schema())
    examples = schema.pop("examples", [])
    content: dict[str, Any] = {"schema": schema}
    if examples:
        content["example"] = examples[0]
    return {"requestBody": {"required": required, "content": {"application/json": content}}}


def query_parameters(*parameters: dict[str, Any]) -> dict[str, Any]:
    """Describe query parameters (openapi_extra), each a dict of name, description and schema."""
    return {"parameters": [{"in": "query", "required": False, **parameter} for parameter in parameters]}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    definitions = schema.pop("$defs", {})

    def inline(part: Any) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(part, dict):
            if "$ref" in part:
                return inline(definitions[part["$ref"].rsplit("/", 1)[1]])
            # What may be absent and not null has no default to show.
            shown = {key: value for key, value in part.items() if (key, value) != ("default", None)}
            return {key: inline(value) for key, value in shown.items()}
        return [inline(item) for item in part] if isinstance(part, list) else part

    inlined: dict[str, Any] = inline(schema)
    return inlined


def path_parameters(**descriptions: str) -> dict[str, Any]:
    """Describe parameters of a raw route's path (openapi_extra), texts by their names."""
    return {
        "parameters": [
            {"in": "path", "name": name, "required": True, "description": description, "schema": {"type": "string"}}
            for name, description in descriptions.items()
        ]
    }
