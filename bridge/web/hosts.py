"""Who may talk to the bridge: the Host allow-list, CORS, and the Origin rule for requests that change something.

Invariant: the checks run in the contract's order, host, CORS, route, Origin (facts/agentapi-contract.md 1.5, 1.7),
before any byte of a body is read; nothing a proxy adds, such as X-Forwarded-Host, is trusted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Flask, Response, abort, g, request

from bridge.web.replies import Refusal, problem
from bridge.web.service import WebConfig

_HOST = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::\d*)?")
_TOKEN = re.compile(r"[A-Za-z0-9._-]+")
_DEFAULT_PORTS = {"http": "80", "https": "443"}

CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
CORS_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "OPTIONS"})
CORS_HEADERS = frozenset({"Accept", "Authorization", "Content-Type", "X-Csrf-Token", "Origin"})
MAX_AGE = "300"


@dataclass(frozen=True)
class HostList:
    """The allowed host names, as given at start; `*` allows all."""

    given: tuple[str, ...]

    def allows(self, host: str) -> bool:
        """Return whether a Host header names an allowed host; the port does not matter, a final dot does."""
        if "*" in self.given:
            return True
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match["v6"] if match["v6"] is not None else match["name"]
        return bool(name) and name.lower() in {_bare(entry).lower() for entry in self.given}

    def refusal(self) -> str:
        """Return what a foreign host is told."""
        return f"Invalid host header. Allowed hosts: {', '.join(_bare(entry) for entry in self.given)}\n"


@dataclass(frozen=True)
class OriginList:
    """The allowed origins; one `*` inside an entry stands for anything, a bare `*` for all."""

    given: tuple[str, ...]

    @classmethod
    def of(cls, entries: tuple[str, ...]) -> OriginList:
        """Return the list for origins as given at start, whose paths, queries and fragments do not count."""
        return cls(entries if "*" in entries else tuple(_origin_only(entry) for entry in entries))

    @property
    def all(self) -> bool:
        """Return whether every origin is allowed."""
        return "*" in self.given

    def allows(self, origin: str) -> bool:
        """Return whether an Origin header is allowed."""
        return self.all or any(_origin_fits(entry, origin.lower()) for entry in self.given)


def install(app: Flask, config: WebConfig) -> None:
    """Put the checks before, and the headers after, every request of `app`."""
    hosts, origins = HostList(config.allowed_hosts), OriginList.of(config.allowed_origins)

    def before() -> Response | None:
        refused = _check_host(hosts)
        if refused is not None:
            return refused
        g.host_allowed = True
        if _is_preflight():
            return _preflight(origins)
        if request.environ.get("PATH_INFO", "").startswith("//"):
            abort(404)
        if request.routing_exception is None and request.method in CHANGING:
            return _check_origin(origins)
        return None

    def after(response: Response) -> Response:
        if not g.get("host_allowed") or _is_preflight():
            return response
        response.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin")
        if origin and origins.allows(origin) and request.method in CORS_METHODS:
            _allow(response, origins, origin)
            response.headers["Access-Control-Expose-Headers"] = "Link"
        return response

    app.before_request(before)
    app.after_request(after)


def _check_host(hosts: HostList) -> Response | None:
    host = request.environ.get("HTTP_HOST")
    if host is None and request.environ.get("SERVER_PROTOCOL") == "HTTP/1.1":
        return Response("400 Bad Request: missing required Host header", 400, content_type="text/plain; charset=utf-8")
    if hosts.allows(host or ""):
        return None
    headers = {"X-Content-Type-Options": "nosniff"}
    return Response(hosts.refusal(), 400, headers, content_type="text/plain; charset=utf-8")


def _is_preflight() -> bool:
    return request.method == "OPTIONS" and bool(request.headers.get("Access-Control-Request-Method"))


def _preflight(origins: OriginList) -> Response:
    response = Response(b"", 200)
    del response.headers["Content-Type"]
    for name in ("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"):
        response.headers.add("Vary", name)
    origin = request.headers.get("Origin")
    method = request.headers["Access-Control-Request-Method"].upper()
    asked = [_canonical(name) for name in _TOKEN.findall(request.headers.get("Access-Control-Request-Headers", ""))]
    if not (origin and origins.allows(origin) and method in CORS_METHODS and CORS_HEADERS.issuperset(asked)):
        return response
    _allow(response, origins, origin)
    response.headers["Access-Control-Allow-Methods"] = method
    if asked:
        response.headers["Access-Control-Allow-Headers"] = ", ".join(asked)
    response.headers["Access-Control-Max-Age"] = MAX_AGE
    return response


def _allow(response: Response, origins: OriginList, origin: str) -> None:
    response.headers["Access-Control-Allow-Origin"] = "*" if origins.all else origin
    response.headers["Access-Control-Allow-Credentials"] = "true"


def _check_origin(origins: OriginList) -> Response | None:
    """Refuse what a foreign web page would change through its visitor's browser (design: difference to AgentAPI)."""
    origin = request.headers.get("Origin")
    if origin is None:
        foreign = request.headers.get("Sec-Fetch-Site", "").lower() == "cross-site"
        found = "no Origin, and Sec-Fetch-Site says cross-site"
    else:
        own = _is_own(origin, request.environ.get("HTTP_HOST", ""))
        foreign = origin == "null" or not (own or origins.allows(origin))
        found = f"the Origin {origin[:200]}"
    if not foreign:
        return None
    remedy = "If that page is to use this bridge, start the bridge with its origin in --allowed-origins."
    detail = f"The request comes from another site's page ({found}), which may not change anything here."
    return problem(Refusal(403, detail, kind="foreign-origin", remedy=remedy))


def _is_own(origin: str, host: str) -> bool:
    """Return whether an Origin has the host and port of the Host header; the scheme only gives the default port."""
    scheme, separator, rest = origin.partition("://")
    port = _DEFAULT_PORTS.get(scheme.lower(), "")
    return bool(separator and host) and _with_port(rest, port) == _with_port(host, port)


def _with_port(host: str, default: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return host.lower() if colon and port.isdigit() and name else f"{host.lower().rstrip(':')}:{default}"


def _bare(name: str) -> str:
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name


def _origin_only(entry: str) -> str:
    """Return scheme, host and port of a configured origin."""
    parts = urlsplit(entry)
    return f"{parts.scheme}://{parts.netloc}".lower() if parts.scheme and parts.netloc else entry.lower()


def _origin_fits(pattern: str, origin: str) -> bool:
    before, star, after = pattern.partition("*")
    if not star:
        return origin == pattern
    return len(origin) >= len(before) + len(after) and origin.startswith(before) and origin.endswith(after)


def _canonical(header: str) -> str:
    """Return a header name as Go writes it: `content-type` is `Content-Type`."""
    return re.sub(r"(?<![A-Za-z0-9])[a-z]", lambda match: match[0].upper(), header.lower())
