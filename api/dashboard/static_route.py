"""GET /static/...: the files that pages load."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.dashboard.page_route import PageRoute
from api.dashboard.static_files import static_files
from api.errors import ApiError

FOREVER = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/static/{name:path}")
async def static_file(request: Request) -> Response:
    """Send a file. Needs no session: the sign-in is styled too."""
    file = static_files().get(request.path_params["name"])
    if file is None:
        raise ApiError(404, "There is no such file.")
    is_current = request.url.query == file.digest
    headers = {"cache-control": FOREVER if is_current else "no-cache", "vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        return Response(file.compressed, media_type=file.media_type, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
