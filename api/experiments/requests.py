"""What requests of the Experiments API say: bodies as plain JSON, questions for lists, preconditions.

Parameters that are empty count as absent: clients send `?status=&q=` as they find it in the contract.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlencode

from starlette.requests import Request

from api.campaign.route import CampaignError
from api.errors import InvalidRequestError
from api.json_text import JsonNumber, MalformedJsonError, decode_json, text_problem
from pipeline.experiments.definition import STATUSES, Status
from pipeline.experiments.listing import (
    DEFAULT_LIMIT,
    DEFAULT_SORT,
    MAXIMUM_LIMIT,
    SORTS,
    CursorError,
    ListQuery,
    decode_cursor,
)

MAX_WORDS = 200
# Longer integers are beyond 64 bits, and are refused where numbers are checked: as doubles they cost nothing to read.
MAX_INTEGER_CHARACTERS = 20
_INTEGER = re.compile(r"-?[0-9]+")
_LIMIT = re.compile(r"[1-9][0-9]{0,2}")
_REVISION = re.compile(r"[1-9][0-9]{0,17}")
_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


def read_document(body: bytes) -> object:
    """Return a body as plain JSON values. Raises InvalidRequestError when it is not JSON."""
    try:
        return _plain(decode_json(body))
    except MalformedJsonError as error:
        raise InvalidRequestError("Malformed JSON body.") from error


def precondition(request: Request) -> Callable[[str], bool] | None:
    """Return what says of an ETag whether the If-Match header allows a change to it; None without that header."""
    given = request.headers.getlist("if-match")
    if not given:
        return None
    text = ",".join(given).strip()
    if text == "*":
        return lambda _: True
    # Compared strongly, as RFC 9110 demands: a weak tag matches nothing.
    return frozenset(_ENTITY_TAG.findall(text)).__contains__


def read_list_query(request: Request) -> ListQuery:
    """Read which experiments a list is to show. Raises CampaignError (400) with a text for each wrong parameter."""
    problems: list[str] = []
    sort = _one(request, "sort", problems) or DEFAULT_SORT
    if sort.removeprefix("-") not in SORTS:
        problems.append(f"sort must be one of: {', '.join(SORTS)}; with a minus before it, descending")
        sort = DEFAULT_SORT
    words = _one(request, "q", problems) or ""
    if len(words) > MAX_WORDS or text_problem(words):
        problems.append(f"q must be a text of at most {MAX_WORDS} characters, without U+0000")
    cursor = _one(request, "cursor", problems)
    place = None
    if cursor is not None:
        try:
            place = decode_cursor(sort, cursor)
        except CursorError:
            problems.append("cursor must be that of a Link header, with the same sort")
    query = ListQuery(_statuses(request, problems), words.strip() or None, sort, _limit(request, problems), place)
    if problems:
        raise CampaignError(400, problems)
    return query


def read_changes_query(request: Request) -> tuple[int, int | None]:
    """Read the limit of a page of the log, and the revision it goes on from. Raises CampaignError (400)."""
    problems: list[str] = []
    limit = _limit(request, problems)
    cursor = _one(request, "cursor", problems)
    if cursor is not None and not _REVISION.fullmatch(cursor):
        problems.append("cursor must be that of a Link header")
    if problems:
        raise CampaignError(400, problems)
    return limit, None if cursor is None else int(cursor)


def next_link(request: Request, cursor: str | None) -> dict[str, str]:
    """Return the Link header to the page with that cursor; nothing when there is none."""
    if cursor is None:
        return {}
    given = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor" and value]
    # The path as it was sent: an id in it may hold what needs escaping.
    path = request.scope["raw_path"].decode("ascii", "replace")
    return {"link": f'<{path}?{urlencode([*given, ("cursor", cursor)])}>; rel="next"'}


def _plain(value: object) -> object:
    if isinstance(value, JsonNumber):
        if len(value.text) <= MAX_INTEGER_CHARACTERS and _INTEGER.fullmatch(value.text):
            return int(value.text)
        return float(value.text)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _one(request: Request, name: str, problems: list[str]) -> str | None:
    """Return the value of a parameter that may be given once."""
    given = [value for value in request.query_params.getlist(name) if value]
    if len(given) > 1:
        problems.append(f"{name} must be given once")
    return given[0] if given else None


def _limit(request: Request, problems: list[str]) -> int:
    text = _one(request, "limit", problems)
    if text is None:
        return DEFAULT_LIMIT
    if not _LIMIT.fullmatch(text) or int(text) > MAXIMUM_LIMIT:
        problems.append(f"limit must be an integer between 1 and {MAXIMUM_LIMIT}")
        return DEFAULT_LIMIT
    return int(text)


def _statuses(request: Request, problems: list[str]) -> list[Status] | None:
    """Return the statuses wanted: the parameter may be given several times, or with commas."""
    given = {name for value in request.query_params.getlist("status") if value for name in value.split(",")}
    if not given <= set(STATUSES):
        problems.append(f"status must be one of: {', '.join(STATUSES)}")
    return [status for status in STATUSES if status in given] or None
