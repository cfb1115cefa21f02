"""Forms that pages send: `application/x-www-form-urlencoded`, small, and from a page of ours."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from api.bodies import read_body
from api.errors import ApiError, InvalidRequestError
from api.json_text import text_problem

MAX_FORM_BYTES = 256 * 2**10
MAX_FIELDS = 2_000
CSRF_FIELD = "csrf"
CSRF_HEADER = "x-csrf-token"
OTHER_SITE = "This form was sent from another site. Open the dashboard and try again."


@dataclass(frozen=True)
class Form:
    """The fields of a form in their order; a name may occur more than once."""

    fields: tuple[tuple[str, str], ...]

    def get(self, name: str, default: str = "") -> str:
        """Return the first field of a name, without white space at its ends."""
        return next((value.strip() for key, value in self.fields if key == name), default)

    def all(self, name: str) -> list[str]:
        """Return every field of a name, as it was sent."""
        return [value for key, value in self.fields if key == name]


async def read_form(request: Request) -> Form:
    """Read the form of a request that came from a page of ours, as far as a browser says where it came from.

    Raises ApiError 403 for one of another site, InvalidRequestError for what is no form, BodyTooLargeError.
    """
    _check_origin(request)
    body = await read_body(request, MAX_FORM_BYTES)
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise InvalidRequestError("This is not a form.") from error
    if any(text_problem(part) for field in fields for part in field):
        raise InvalidRequestError("A field of the form holds a character that cannot be stored.")
    return Form(tuple(fields))


def _check_origin(request: Request) -> None:
    """Refuse what a page of another site made the browser send: also the sign-in, which has no session yet.

    Browsers say where a request comes from in Sec-Fetch-Site when they came by https or from this machine; else the
    origin is compared, which a proxy that renames the host would make differ.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        is_ours = site in ("same-origin", "none")
    else:
        is_ours = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    if not is_ours:
        raise ApiError(403, OTHER_SITE)
