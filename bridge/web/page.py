"""The pages for people: the chat, the API reference, and the documents behind it.

Invariant: everything a page needs comes from this server, under addresses relative to the page's own, so that it works
under any path prefix a proxy strips without telling.
"""

from __future__ import annotations

from urllib.parse import quote

from flask import Flask, Response, render_template, request
from werkzeug.exceptions import NotFound

from bridge.web import assets, openapi, wire
from bridge.web.service import config

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_JSON = "application/vnd.oai.openapi+json"
_YAML = "application/vnd.oai.openapi+yaml"

# From each address of the chat page back to where `/status` is, relative.
_BASES = {"/chat": "./", "/chat/": "../", "/chat/embed": "../", "/chat/embed/": "../../"}

# No frame-ancestors: Coder shows the page in a frame. Trusted types: one place makes markup out of text.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types rendered-blocks"
)


def install(app: Flask) -> None:
    """Route the pages and documents of `app`."""
    app.add_url_rule("/", "root", root, methods=_METHODS)
    for path in _BASES:
        app.add_url_rule(path, f"chat {path}", chat_page, methods=_METHODS)
    app.add_url_rule("/chat/assets/<version>/<path:name>", "asset", asset, methods=["GET", "HEAD"])
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
    return _page(render_template("chat.html", base=base, assets=f"{base}{_asset_folder()}", modules=assets.modules()))


def asset(version: str, name: str) -> Response:
    """Answer `/chat/assets/<version>/<name>`; another version than ours is gone, and its page has to be loaded anew."""
    found = assets.assets().get(name)
    if found is None or version != assets.version():
        raise NotFound
    packed = bool(request.accept_encodings.quality("gzip"))
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        **({"Content-Encoding": "gzip"} if packed else {}),
    }
    return Response(found.packed if packed else found.data, headers=headers, content_type=found.content_type)


def docs() -> Response:
    """Answer `/docs`: the API reference."""
    described = openapi.openapi_3_0(config().version)
    return _page(render_template("docs.html", document=described, assets=_asset_folder()))


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


def _asset_folder() -> str:
    return f"chat/assets/{assets.version()}/"


def _page(html: str) -> Response:
    headers = {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return Response(html, headers=headers, content_type="text/html; charset=utf-8")
