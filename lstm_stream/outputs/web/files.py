"""The page's files: read once at the start, so that no request ever names a path of the disk."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from importlib import resources
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

if sys.version_info >= (3, 11):
    from importlib.resources.abc import Traversable
else:
    from importlib.abc import Traversable

TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "ico": "image/x-icon",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "mjs": "text/javascript; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "webmanifest": "application/manifest+json",
    "woff2": "font/woff2",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # ask every time whether it is still the same: an update is seen at once
}


class File(NamedTuple):
    """One of them."""

    content: bytes
    type: str
    etag: str


def load() -> dict[str, File]:
    """By path below /static/; index.html is what / shows."""
    root = resources.files("lstm_stream.outputs.web") / "static"
    return {path: _file(file) for path, file in _walk(root, "")} if root.is_dir() else {}


def routes(files: dict[str, File]) -> list[Route]:
    """A route each; / and /favicon.ico as well, where there are files for them."""

    async def serve(request: Request) -> Response:
        path = request.url.path
        name = {"/": "index.html", "/favicon.ico": "favicon.svg"}.get(path) or path.removeprefix("/static/")
        file = files[name]
        headers = {**HEADERS, "ETag": file.etag}
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers={**headers, "Content-Type": file.type})

    paths = [f"/static/{path}" for path in files]
    paths += ["/"] * ("index.html" in files) + ["/favicon.ico"] * ("favicon.svg" in files)
    return [Route(path, serve) for path in paths]


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in TYPES:
            yield prefix + entry.name, entry


def _file(file: Traversable) -> File:
    content = file.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    return File(content, TYPES[file.name.rpartition(".")[2]], etag)
