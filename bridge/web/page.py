"""The pages for people: the chat, the API reference, and the documents behind it.

Invariant: everything a page needs comes from this server, under addresses relative to the page's own, so that it works
under any path prefix a proxy strips without telling.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from flask import Flask, Response, render_template, request, send_from_directory
from werkzeug.exceptions import NotFound

from bridge.web import openapi, wire
from bridge.web.service import config

_STATIC = Path(__file__).with_name("static")
_ASSETS = frozenset({"page.css", "page.js"})
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_JSON = "application/vnd.oai.openapi+json"
_YAML = "application/vnd.oai.openapi+yaml"

# From each address of the chat page back to where `/status` is, relative.
_BASES = {"/chat": "./", "/chat/": "../", "/chat/embed": "../", "/chat/embed/": "../../"}

# No frame-ancestors: Coder shows the page in a frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'"
)


def install(app: Flask) -> None:
    """Route the pages and documents of `app`."""
    app.add_url_rule("/", "root", root, methods=_METHODS)
    for path in _BASES:
        app.add_url_rule(path, f"chat {path}", chat_page, methods=_METHODS)
    app.add_url_rule("/chat/assets/<name>", "asset", asset, methods=["GET", "HEAD"])
    app.add_url_rule("/docs", "docs", docs, methods=["GET"])
    for path in ("/openapi.json", "/openapi.yaml", "/openapi-3.0.json", "/openapi-3.0.yaml"):
        app.add_url_rule(path, path, document, methods=["GET"])
    app.add_url_rule("/schemas/<name>", "schema", schema, methods=["GET"])


def root() -> Response:
    """Answer `/`: to the chat, wherever browsers reach it (contract 1.8).

    A base path that begins with `./` stays relative, for a proxy that strips a prefix without telling.
    """
    given = config().chat_base_path
    start = "./" if given.startswith("./") else "/"
    base = given.removeprefix("./").strip("/")
    location = quote(f"{start}{base}/embed" if base else f"{start}embed", safe="/:@!$&'()*+,;=~%")
    response = Response(b"", 307, {"Location": location})
    del response.headers["Content-Type"]
    if request.method in ("GET", "HEAD"):
        response.content_type = "text/html; charset=utf-8"
        response.set_data(f'<a href="{location}">Temporary Redirect</a>.\n\n')
    return response


def chat_page() -> Response:
    """Answer `/chat` and `/chat/embed`, with and without a final slash."""
    base = _BASES[request.path]
    return _page(render_template("chat.html", base=base, assets=f"{base}chat/assets/"))


def asset(name: str) -> Response:
    """Answer `/chat/assets/<name>`."""
    if name not in _ASSETS:
        raise NotFound
    response = send_from_directory(_STATIC, name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def docs() -> Response:
    """Answer `/docs`: the API reference."""
    described = openapi.openapi_3_0(config().version)
    return _page(render_template("docs.html", document=described, assets="chat/assets/"))


def document() -> Response:
    """Answer `/openapi[-3.0].json` and `.yaml`."""
    make = openapi.openapi_3_0 if "3.0" in request.path else openapi.openapi_3_1
    described = make(config().version)
    if request.path.endswith(".json"):
        return Response(openapi.as_json(described), content_type=_JSON)
    return Response(openapi.as_yaml(described), content_type=_YAML)


def schema(name: str) -> Response:
    """Answer `/schemas/<name>[.json]`; `null` for a name that no schema has (contract 1.9)."""
    return Response(wire.dumps(openapi.json_schema(name.removesuffix(".json"))), content_type="application/json")


def _page(html: str) -> Response:
    headers = {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return Response(html, headers=headers, content_type="text/html; charset=utf-8")
