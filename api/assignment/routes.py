"""POST /v1/assignment: checks the request, assigns, and answers with the merged configuration."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.guard import optional_key, tenant_of
from api.answers import JsonAnswer
from api.assignment.decision import Subject
from api.assignment.models import AssignmentRequest, AssignmentResponse
from api.bodies import read_body, read_in_turn, read_json
from api.errors import InvalidRequestError, documented
from api.identifiers import PLATFORMS, identifier_problem, trim
from api.openapi import json_body
from api.raw_route import RawRoute
from api.request_log import note_user
from api.state import services
from pipeline.clock import iso_millis

ASSIGNMENT_VERSION = 1
OPTIONAL_TEXTS = ("app_version", "session_id", "install_id")

router = APIRouter(tags=["assignment"], route_class=RawRoute)


@router.post(
    "/v1/assignment",
    summary="Get a user's variants",
    response_model=AssignmentResponse,
    responses=documented(400, 401, 403, 408, 413, 415, 503),
    openapi_extra=json_body(AssignmentRequest) | optional_key,
)
async def assign_user(request: Request) -> Response:
    """Assign a user to a variant of every running experiment that matches, and return the app's configuration.

    The first answer is kept: asking again gives the same variants. Without a matching experiment, the baseline.
    """
    parts = services(request)
    tenant_id = tenant_of(request, "ingest")
    body = await read_body(request)
    subject = await read_in_turn(body, lambda: read_subject(body))
    note_user(request.scope, subject.anonymous_user_id)
    now = parts.clock()
    answer = await parts.assigner.assign(tenant_id, subject, now)
    content = b'{"anonymous_user_id":%b,"assignment_version":%d,"generated_at":"%b",%b}' % (
        msgspec.json.encode(subject.anonymous_user_id),
        ASSIGNMENT_VERSION,
        iso_millis(now).encode(),
        answer.members,
    )
    return JsonAnswer(content)


def read_subject(body: bytes) -> Subject:
    """Read and check the request; fields that are null count as absent. Raises InvalidRequestError."""
    document = read_json(body)
    fields = document if isinstance(document, dict) else {}
    user = fields.get("anonymous_user_id")
    if not isinstance(user, str) or not trim(user):
        raise InvalidRequestError("Field 'anonymous_user_id' is required and must be non-empty.")
    platform = fields.get("platform")
    if platform is not None and platform not in PLATFORMS:
        raise InvalidRequestError(f"Field 'platform' must be one of: {', '.join(PLATFORMS)}.")
    texts: dict[str, str | None] = {"anonymous_user_id": trim(user)}
    for name in OPTIONAL_TEXTS:
        value = fields.get(name)
        if value is not None and not isinstance(value, str):
            raise InvalidRequestError(f"Field '{name}' must be a string value.")
        texts[name] = value
    for name, text in texts.items():
        problem = identifier_problem(name, text or "")
        if problem:
            raise InvalidRequestError(f"Field {problem}.")
    return Subject(trim(user), platform, texts["app_version"])
