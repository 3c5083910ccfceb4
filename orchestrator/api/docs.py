"""The interactive API page, served without asking any other host for anything."""

from __future__ import annotations

from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from orchestrator.api.middleware.security_headers import page_policy
from orchestrator.api.scopes import DOCS_FILES

STATIC = DOCS_FILES.rstrip("/")


def add_docs(app: FastAPI) -> None:
    """Serve `/docs` from the Swagger UI that `fastapi-offline` ships."""
    app.mount(STATIC, StaticFiles(directory=str(files("fastapi_offline") / "static")), name="docs-static")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url=f"{STATIC}/swagger-ui-bundle.js",
            swagger_css_url=f"{STATIC}/swagger-ui.css",
            swagger_favicon_url=f"{STATIC}/favicon.png",
        )
        page.headers["Content-Security-Policy"] = page_policy(bytes(page.body).decode())
        return page
