"""Every documented route, once: the application's URL map and the OpenAPI documents are both made of this table.

Invariant: an operation that is not in the table is not served, and one that is has a view (`mount` fails otherwise).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import Flask
from flask.typing import ResponseReturnValue

from bridge.web.schemas import JsonObject, ref

View = Callable[..., ResponseReturnValue]


@dataclass(frozen=True)
class Operation:
    """One method of one path, in OpenAPI's terms.

    `takes` and `gives` name components; a stream gives `events` (event name to component) instead. `form` is a
    multipart body's schema. `parameters` are OpenAPI parameter objects besides those in the path.
    """

    id: str
    method: str
    path: str
    summary: str
    description: str
    takes: str = ""
    gives: str = ""
    status: int = 200
    events: tuple[tuple[str, str], ...] = ()
    form: JsonObject | None = None
    parameters: tuple[JsonObject, ...] = ()
    hidden: bool = False


def _query(name: str, description: str, **bounds: int) -> JsonObject:
    schema = {"type": "integer", "format": "int64", **bounds}
    return {"name": name, "in": "query", "description": description, "schema": schema}


_LAST_ID = "Send what follows this sequence; without it, what happens from now on."

_FILE_FORM: JsonObject = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {
            "type": "string",
            "format": "binary",
            "contentEncoding": "binary",
            "contentMediaType": "application/octet-stream",
            "description": "The file, at most 10 MiB.",
        }
    },
}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "get-status",
        "GET",
        "/status",
        "Get status",
        "Returns whether the agent is working, and whether a prompt sent now would be answered. 503 only while the "
        "bridge starts.",
        gives="StatusResponseBody",
    ),
    Operation(
        "get-messages",
        "GET",
        "/messages",
        "Get messages",
        "Returns the conversation, oldest message first. Never waits for a running turn.",
        gives="MessagesResponseBody",
    ),
    Operation(
        "post-message",
        "POST",
        "/message",
        "Post message",
        "Sends a prompt to the agent, which must be `stable`, or a key. Returns as soon as the prompt is recorded.",
        takes="MessageRequestBody",
        gives="MessageResponseBody",
    ),
    Operation(
        "post-upload",
        "POST",
        "/upload",
        "Post upload",
        "Stores one file where the agent can read it. It stays as long as the conversation.",
        gives="UploadResponseBody",
        form=_FILE_FORM,
    ),
    Operation(
        "subscribeEvents",
        "GET",
        "/events",
        "Subscribe to events",
        "Server-sent events: first the whole conversation and the status, then every change. A message that grows is "
        "sent again whole under its id.",
        events=(
            ("agent_error", "ErrorBody"),
            ("message_update", "MessageUpdateBody"),
            ("status_change", "StatusChangeBody"),
        ),
    ),
    Operation(
        "subscribeScreen",
        "GET",
        "/internal/screen",
        "Subscribe to the screen",
        "Server-sent events with the text of the current or last answer.",
        events=(("screen", "ScreenUpdateBody"),),
        hidden=True,
    ),
    Operation(
        "list-sessions",
        "GET",
        "/api/v1/sessions",
        "List sessions",
        "Returns all sessions and which of them AgentAPI's routes show.",
        gives="SessionList",
    ),
    Operation(
        "get-session",
        "GET",
        "/api/v1/sessions/{session_id}",
        "Get a session",
        "Returns one session.",
        gives="SessionBody",
    ),
    Operation(
        "list-items",
        "GET",
        "/api/v1/sessions/{session_id}/items",
        "List items",
        "Returns the newest items of a session, or those right before an item, oldest first, with their turns.",
        gives="ItemPage",
        parameters=(
            _query("before", "Only items older than the item with this id.", minimum=1),
            _query("limit", "How many items at most.", minimum=1, maximum=500, default=100),
        ),
    ),
    Operation(
        "subscribe-session-events",
        "GET",
        "/api/v1/sessions/{session_id}/events",
        "Subscribe to a session's events",
        "Server-sent events; the `id:` of each is its `seq`. Coming back with `Last-Event-ID` nothing is lost and "
        "nothing doubled: items changed meanwhile are sent whole. Lines that begin with a colon are heartbeats.",
        events=(
            ("item", "ItemEvent"),
            ("delta", "DeltaEvent"),
            ("removed", "RemovedEvent"),
            ("turn", "TurnEvent"),
            ("session", "SessionEvent"),
        ),
        parameters=(
            _query("last_event_id", f"{_LAST_ID} The header `Last-Event-ID` wins.", minimum=0),
            {**_query("Last-Event-ID", _LAST_ID, minimum=0), "in": "header"},
        ),
    ),
    Operation(
        "post-prompt",
        "POST",
        "/api/v1/sessions/{session_id}/messages",
        "Post a prompt",
        "Sends a prompt of up to 16 MiB to a session. 409 while a turn is running in it.",
        takes="PromptRequestBody",
        gives="PromptResponseBody",
        status=202,
    ),
    Operation(
        "cancel-turn",
        "POST",
        "/api/v1/sessions/{session_id}/cancel",
        "Stop the running turn",
        "Asks the running turn of a session to stop. What was written so far stays.",
        gives="CancelResponseBody",
    ),
)


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
