"""The Flask application, assembled.

Invariant: a route answers exactly the methods and the path it is given: no HEAD or OPTIONS of Flask's own, no trailing
slash, no merged slashes (facts/agentapi-contract.md 1.1).
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Request
from werkzeug.routing import MapAdapter, Rule

from bridge.web import (
    agentapi,
    api_v1,
    bodies,
    hosts,
    late_views,
    operations,
    page,
    problems,
    session_routes,
    uploads,
)
from bridge.web.operation import View
from bridge.web.service import ChatService, WebConfig

VIEWS: dict[str, View] = {
    **agentapi.VIEWS,
    **api_v1.VIEWS,
    **session_routes.VIEWS,
    **late_views.VIEWS,
    "post-upload": uploads.upload,
}


class ExactRule(Rule):
    """A rule that answers HEAD only where it says so."""

    def __init__(self, string: str, *, methods: Any = None, **options: Any) -> None:
        super().__init__(string, methods=methods, **options)
        if self.methods is not None and "HEAD" not in methods:
            self.methods.discard("HEAD")


class BridgeApp(Flask):
    """Flask without conveniences that a client could see."""

    url_rule_class: type[Rule] = ExactRule

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Bind the routes without regard to the Host header, which `hosts` judges: an odd one is no 404."""
        if request is None:
            return super().create_url_adapter(request)
        return self.url_map.bind(
            "bridge",
            script_name=request.root_path,
            url_scheme=request.scheme,
            default_method=request.method,
            path_info=request.path,
            query_args=request.query_string.decode("latin-1"),
        )


def create_app(service: ChatService, config: WebConfig) -> Flask:
    """Return the WSGI application.

    The caller registers the stream makers (`bridge.web.service.Streams`) as `app.extensions["streams"]` before the
    first request.
    """
    app = BridgeApp("bridge.web", static_folder=None, template_folder="templates")
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False
    app.extensions["chat_service"] = service
    app.extensions["web_config"] = config
    hosts.install(app, config)
    problems.install(app)
    bodies.install(app, config.bodies_at_once)
    uploads.install(app, config.upload_root)
    page.install(app)
    operations.mount(app, VIEWS)
    return app
