"""The songs' folders over HTTP, so that links on a run's page open: a browser follows no file:// link from an http page.

Read only, on loopback, no lists of folders, nothing hidden, nothing outside the folder, and behind the API's password where there is one. A
browser opens them as pages of their own; the UI shows pictures of them; no other page reads or shows any: see `deployments.server.door`.
"""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deployments.server.door import Door, guarded

#: What a page from these files may do in a browser: show itself. A song's title is text that somebody else wrote.
_POLICY = b"default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
_HEADERS = [
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-cache"),
]


@contextmanager
def serving_outputs(folder: Path, port: int = 0, auth: str | None = None, door: Door | None = None) -> Iterator[str]:
    """Serve a folder while the block runs; yields its URL.

    auth: `user:password`, asked of whoever reads. Port 0: any that is free. door: with the pages that show pictures of the folder.
    """
    import uvicorn

    app = guarded(output_app(folder, auth), door or Door(), _HEADERS)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, name="output-server", daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise OSError(f"port {port} cannot be listened on")
        thread.join(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(5)


def output_app(folder: Path, auth: str | None) -> Any:
    """The ASGI application."""
    from starlette.responses import Response
    from starlette.staticfiles import StaticFiles

    files = StaticFiles(directory=folder, check_dir=False)
    wanted = f"Basic {base64.b64encode(auth.encode()).decode()}".encode() if auth else None

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        if wanted is not None and not secrets.compare_digest(given, wanted):
            await Response("", 401, {"WWW-Authenticate": 'Basic realm="Performia"'})(scope, receive, send)
            return
        if any(part.startswith(".") for part in scope["path"].split("/")):
            await Response("", 404)(scope, receive, send)
            return
        from starlette.exceptions import HTTPException

        try:
            await files(scope, receive, send)
        except HTTPException as error:
            await Response("", error.status_code)(scope, receive, send)

    return app
