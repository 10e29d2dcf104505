"""Every documented route, once: the application's URL map and the OpenAPI documents are both made of this table.

Invariant: an operation that is not in the table is not served, and one that is has a view (`mount` fails otherwise).
"""

from __future__ import annotations

from collections.abc import Mapping

from flask import Flask

from bridge.web.areas import AREAS
from bridge.web.operation import Operation, View
from bridge.web.shapes import JsonObject, ref

OPERATIONS: tuple[Operation, ...] = tuple(operation for area in AREAS for operation in area.OPERATIONS)


def mount(app: Flask, views: Mapping[str, View]) -> None:
    """Route every operation of the table to its view in `views`, by operation id."""
    for operation in OPERATIONS:
        rule = operation.path.replace("{", "<").replace("}", ">")
        app.add_url_rule(rule, operation.id, views[operation.id], methods=[operation.method])


def path_parameters(path: str) -> list[JsonObject]:
    """Return the OpenAPI parameters that stand in a path."""
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def event_list(events: tuple[tuple[str, str], ...]) -> JsonObject:
    """Return the schema of an event stream: a list of the events it may carry."""
    return {
        "title": "Server Sent Events",
        "description": "Each entry is one kind of event, as UTF-8 text in the format of server-sent events.",
        "type": "array",
        "items": {"oneOf": [_event(name, component) for name, component in events]},
    }


def _event(name: str, component: str) -> JsonObject:
    properties = {
        "data": ref(component),
        "event": {"type": "string", "const": name, "description": "The name of the event."},
        "id": {"type": "integer", "description": "The id of the event, where it has one."},
        "retry": {"type": "integer", "description": "Milliseconds to wait before connecting again."},
    }
    return {"title": f"Event {name}", "type": "object", "properties": properties, "required": ["data", "event"]}
