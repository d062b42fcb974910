"""The HTTP application: all REST routes, metrics, OpenAPI and the page to try a model."""

import pathlib
import typing

import fastapi
import prometheus_client
from starlette.exceptions import HTTPException

from conveyor import __version__
from conveyor.components.serving import rest, rest_v1, rest_v2
from conveyor.components.serving.errors import Refused
from conveyor.components.serving.store import Store

_PAGE = pathlib.Path(__file__).with_name("page.html")
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:;"
    " connect-src 'self'"
)


def build_app(store: Store, token: str) -> typing.Any:
    """Returns the ASGI application of a server.

    Args:
        store: The models.
        token: Which clients must send, "" for none.
    """
    app = fastapi.FastAPI(
        title="conveyor",
        version=__version__,
        description="Predictions of exported models.",
        docs_url=None,
        redoc_url=None,  # their pages come from elsewhere
    )
    rest_v1.add_routes(app, store)
    rest_v2.add_routes(app, store)
    page = _PAGE.read_text(encoding="utf-8")

    async def show_page() -> fastapi.Response:
        headers = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff"}
        return fastapi.responses.HTMLResponse(page, headers=headers)

    async def metrics() -> fastapi.Response:
        content, kind = prometheus_client.generate_latest(), prometheus_client.CONTENT_TYPE_LATEST
        return fastapi.Response(content, headers={"content-type": kind})

    app.add_api_route(
        "/",
        show_page,
        tags=["server"],
        summary="A page to try a model",
        response_class=fastapi.responses.HTMLResponse,
    )
    app.add_api_route("/metrics", metrics, tags=["server"], summary="Figures for Prometheus")
    app.add_exception_handler(Refused, _refuse)
    app.add_exception_handler(HTTPException, _refuse_path)
    predictions = {rest_v1.PREDICT: rest_v1.predicting(store), rest_v2.INFER: rest_v2.inferring(store)}
    return rest.Guard(app, store.settings, token, predictions)


async def _refuse(_: fastapi.Request, error: Exception) -> fastapi.Response:
    return rest.refusal(typing.cast(Refused, error))


async def _refuse_path(request: fastapi.Request, error: Exception) -> fastapi.Response:
    found = typing.cast(HTTPException, error)
    message = f"{found.detail}: {request.method} {request.url.path[:200]}; /openapi.json lists what there is"
    return rest.JSON({"error": message}, found.status_code, found.headers)
