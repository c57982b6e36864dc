"""The server behind the page: rows as JSON, pictures as they are asked for, and flags. Needs the extra ``backend``."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Annotated, Any, Final

from figureground.errors import DataError, FigureGroundError, MissingExtraError, UsageError, masked
from figureground.exports.viewing.gallery import Gallery
from figureground.exports.viewing.page import FILES, render_page
from figureground.exports.viewing.pictures import Picture
from figureground.exports.viewing.requests import parse_request
from figureground.schemas.attributes import OBJECT

try:
    import uvicorn  # noqa: F401  named where it is absent
    from fastapi import Body, FastAPI, HTTPException, Request
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import HTMLResponse, JSONResponse, Response

    from figureground.exports.viewing.guard import Guard
    from figureground.runtime.servers import BoundedBodies
except ImportError as error:
    raise MissingExtraError("fastapi", "backend") from error

Json = dict[str, Any]

_KEPT_SECONDS: Final = 3600
"""That a browser shows a picture again without asking; the address of another session is another one."""


def create_app(gallery: Gallery, token: str) -> Guard:
    """The application.

    Args:
        gallery: What is shown.
        token: First part of every address.
    """
    app = FastAPI(title="figureground view", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(BoundedBodies)
    app.add_exception_handler(FigureGroundError, _tell)
    app.add_exception_handler(RequestValidationError, _say_what_is_strange)
    app.add_exception_handler(Exception, _say_that_it_failed)
    _add_page(app, gallery)
    _add_rows(app, gallery)
    _add_pictures(app, gallery)
    return Guard(app, token)


def _add_page(app: FastAPI, gallery: Gallery) -> None:
    @app.get("/")
    def page() -> Response:
        gallery.read_decisions()
        return HTMLResponse(render_page(gallery), headers={"Cache-Control": "no-store"})

    @app.get("/{name}.{ending}")
    def file(name: str, ending: str) -> Response:
        kind = FILES.get(f"{name}.{ending}")
        if kind is None:
            raise HTTPException(404, "no such file")
        content = (files("figureground.exports.viewing") / f"{name}.{ending}").read_bytes()
        return Response(content, media_type=kind, headers={"Cache-Control": "no-store"})


def _add_rows(app: FastAPI, gallery: Gallery) -> None:
    @app.get("/rows")
    def rows(request: Request) -> Json:
        asked, page = parse_request(request.query_params.multi_items())
        return gallery.answer(asked, page)

    @app.get("/rows/{row}")
    def row(row: int, model: int | None = None) -> Json:
        return gallery.describe(_known(gallery, row), model)

    @app.post("/flags")
    def flag(flag: Annotated[Json, Body()]) -> Json:
        return gallery.flag(flag)


def _add_pictures(app: FastAPI, gallery: Gallery) -> None:
    pictures = gallery.pictures

    def answer(request: Request, row: int, kind: str, read: Callable[[], Picture | None]) -> Response:
        etag = pictures.etag(_known(gallery, row), kind)
        headers = {"ETag": etag, "Cache-Control": f"private, max-age={_KEPT_SECONDS}"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        picture = read()
        if picture is None:
            raise HTTPException(404, "the row has no such picture")
        return Response(picture.data, media_type=picture.kind, headers=headers)

    @app.get("/thumbnails/{row}")
    def thumbnail(request: Request, row: int) -> Response:
        return answer(request, row, "thumbnail", lambda: pictures.thumbnail(row))

    @app.get("/images/{row}")
    def image(request: Request, row: int) -> Response:
        return answer(request, row, "image", lambda: pictures.image(row))

    @app.get("/masks/{row}")
    def mask(request: Request, row: int, part: str = OBJECT) -> Response:
        return answer(request, row, f"mask {part}", lambda: pictures.mask(row, part))


def _known(gallery: Gallery, row: int) -> int:
    if not 0 <= row < gallery.columns.rows:
        raise HTTPException(404, f"rows are 0 to {gallery.columns.rows - 1}")
    return row


def _tell(_: Request, error: Exception) -> JSONResponse:
    """A fault of the data, or a request that asks for what is not there."""
    status = 422 if isinstance(error, UsageError) else 500 if isinstance(error, DataError) else 503
    return JSONResponse({"detail": masked(str(error))}, status)


def _say_what_is_strange(_: Request, error: Exception) -> JSONResponse:
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    lines = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults[:10]]
    return JSONResponse({"detail": "; ".join(lines)}, 422)


def _say_that_it_failed(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"a fault of figureground itself ({type(error).__name__})"}, 500)
