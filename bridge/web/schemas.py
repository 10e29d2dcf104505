"""Every JSON shape that the HTTP surface takes or gives, as OpenAPI 3.0.3 schemas.

Invariant: this table is what requests are checked against and what the documents show. Names, types, `required` and
enums of AgentAPI's shapes are the contract's (facts/agentapi-contract.md 1.1); ours are additions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

JsonObject = dict[str, Any]

_REF = "#/components/schemas/"


def ref(name: str, description: str = "") -> JsonObject:
    """Return a reference to a component."""
    return {"$ref": f"{_REF}{name}", **({"description": description} if description else {})}


def text(description: str, **more: object) -> JsonObject:
    """Return a string."""
    return {"type": "string", "description": description, **more}


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the component a schema refers to, or the schema itself."""
    name = schema.get("$ref", "").removeprefix(_REF)
    return SCHEMAS[name] if name else schema


def _time(description: str, **more: object) -> JsonObject:
    return text(description, format="date-time", **more)


def _whole(description: str, **more: object) -> JsonObject:
    return {"type": "integer", "format": "int64", "description": description, **more}


def _flag(description: str) -> JsonObject:
    return {"type": "boolean", "description": description}


def _list(of: JsonObject, description: str) -> JsonObject:
    return {"type": "array", "items": of, "description": description}


def _choice(name: str, *values: str, example: str = "") -> JsonObject:
    return {"type": "string", "enum": list(values), "title": name, "example": example or values[0]}


def _object(properties: JsonObject, *, optional: tuple[str, ...] = ()) -> JsonObject:
    required = [name for name in properties if name not in optional]
    closed: JsonObject = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**closed, "required": required} if required else closed


def _document(properties: JsonObject, *, optional: tuple[str, ...] = ()) -> JsonObject:
    """Return an object that is a whole body, and so may name its schema."""
    link = text("The address of the JSON Schema of this object.", format="uri", readOnly=True)
    return _object({"$schema": link, **properties}, optional=("$schema", *optional))


_CONTENT = "The text of the message, as the agent wrote it: neither wrapped nor padded."
_ID = "Strictly increasing for the life of the conversation; an answer's id follows its prompt's."
_SEQ = "The place of this change in the one sequence of all changes; also the `id:` of its event."
_PLACE: JsonObject = {"seq": _whole(_SEQ), "session_id": text("The session it belongs to.")}
_TURN_PLACE: JsonObject = {**_PLACE, "turn_id": _whole("The turn it belongs to.")}

_AGENTAPI: dict[str, JsonObject] = {
    "AgentStatus": _choice("AgentStatus", "running", "stable", example="stable"),
    "ConversationRole": _choice("ConversationRole", "agent", "user", example="user"),
    "ErrorBody": _object(
        {
            "level": ref("ErrorLevel", "How bad it is."),
            "message": text("What went wrong."),
            "time": _time("When it went wrong."),
        }
    ),
    "ErrorDetail": _object(
        {
            "location": text("Where in the request, such as `body.content` or `query.limit`."),
            "message": text("What is wrong there."),
            "value": {"description": "What was found there."},
        },
        optional=("location", "message", "value"),
    ),
    "ErrorLevel": _choice("ErrorLevel", "error", "warning", example="warning"),
    "ErrorModel": _document(
        {
            "title": text("The name of the status code.", example="Unprocessable Entity"),
            "status": _whole("The HTTP status code.", example=422),
            "detail": text("What is wrong with this request.", example="validation failed"),
            "errors": {**_list(ref("ErrorDetail"), "The single violations."), "nullable": True},
            "type": text(
                "A stable machine-readable name, such as `urn:kiro-bridge:agent-busy`.",
                format="uri",
                default="about:blank",
                example="urn:kiro-bridge:agent-busy",
            ),
            "instance": text("An address of this occurrence.", format="uri"),
            "remedy": text("What to do about it."),
        },
        optional=("title", "status", "detail", "errors", "type", "instance", "remedy"),
    ),
    "Message": _object(
        {
            "id": _whole(_ID),
            "content": text(_CONTENT, example="Hello world"),
            "role": ref("ConversationRole", "Who wrote it."),
            "time": _time("When the turn it belongs to was accepted."),
        }
    ),
    "MessageRequestBody": _document(
        {
            "content": text("The prompt, or raw text.", example="Hello, agent!"),
            "type": ref(
                "MessageType",
                "`user` is a prompt: it is recorded and given to the agent. `raw` stands for keys: ESC (`\\u001b`) and "
                "Ctrl-C (`\\u0003`) stop the running turn, `y`, `n` and `t` answer a pending approval, the empty text "
                "does nothing, anything else is refused.",
            ),
        }
    ),
    "MessageResponseBody": _document({"ok": _flag("The prompt is recorded durably, or the key has had its effect.")}),
    "MessageType": _choice("MessageType", "user", "raw"),
    "MessageUpdateBody": _object(
        {
            "id": _whole(_ID),
            "role": ref("ConversationRole", "Who wrote it."),
            "message": text(_CONTENT + " One that would make the event longer than 120 KiB is cut, with a mark."),
            "time": _time("When the turn it belongs to was accepted."),
        }
    ),
    "MessagesResponseBody": _document({"messages": _list(ref("Message"), "All messages, oldest first.")}),
    "ScreenUpdateBody": _object({"screen": text("The text of the current or last answer.")}),
    "StatusChangeBody": _object(
        {"status": ref("AgentStatus", "The new status."), "agent_type": text("The kind of agent: `custom`.")}
    ),
    "StatusResponseBody": _document(
        {
            "status": ref("AgentStatus", "`running` while a turn runs, `stable` when a prompt can be sent."),
            "agent_type": text("The kind of agent: `custom`."),
            "transport": ref("Transport", "How the agent is driven: `acp`, not through a terminal."),
            "phase": ref("Phase", "The status in more detail."),
            "ready": _flag("Whether a prompt sent now would be answered."),
            "problem": ref("Problem", "Why not, when `ready` is false."),
        },
        optional=("phase", "ready", "problem"),
    ),
    "Transport": _choice("Transport", "acp", "pty"),
    "UploadResponseBody": _document(
        {
            "ok": _flag("Whether the file was stored."),
            "filePath": text("The absolute path of the stored file, to be named in a prompt."),
        }
    ),
}

_OURS: dict[str, JsonObject] = {
    "Phase": _choice("Phase", "starting", "ready", "working", "waiting", "failed", example="ready"),
    "Problem": _object(
        {
            "code": text("A stable machine-readable name.", example="not_logged_in"),
            "cause": text("What was found and why it is wrong."),
            "remedy": text("What to do about it."),
        }
    ),
    "Session": _object(
        {
            "id": text("The id of the session."),
            "title": text("The title, empty while there is none."),
            "cwd": text("The directory the agent works in."),
            "engine": text(
                "The engine of Kiro that holds the conversation.", enum=["v1", "v2", "v3", None], nullable=True
            ),
            "kiro_id": text("Kiro's own id of the conversation.", nullable=True),
            "created_at": _time("When it was made."),
            "updated_at": _time("When it last changed."),
        }
    ),
    "Turn": _object(
        {
            "id": _whole("The id of the turn."),
            "session_id": text("The session it belongs to."),
            "message_id": _whole("The AgentAPI id of its prompt; the answer has the next one."),
            "prompt": text("What the user wrote."),
            "state": ref("TurnState", "How far it is."),
            "origin": text("Where the prompt came from.", enum=["user", "initial", "import"]),
            "accepted_at": _time("When the prompt was recorded."),
            "changed_at": _time("When the turn last changed."),
            "ended_at": _time("When it ended.", nullable=True),
            "problem": ref("Problem", "Why it did not end well."),
        },
        optional=("problem",),
    ),
    "TurnState": _choice("TurnState", "accepted", "running", "completed", "cancelled", "failed", "interrupted"),
    "ItemKind": _choice("ItemKind", "text", "thought", "tool", "notice", "usage", "prompt"),
    "Item": _object(
        {
            "id": _whole("The id of the item; it stays when the item changes."),
            "turn_id": _whole("The turn it belongs to."),
            "key": text("Kiro's own id of it; it may change while the item is not recorded."),
            "kind": ref("ItemKind", "What it is."),
            "position": _whole("Its place within the turn."),
            "text": text("Markdown, a tool's output, or a sentence, by kind."),
            "data": {
                "type": "object",
                "additionalProperties": True,
                "description": "tool: name, title, kind, status, input, exit_code, locations, purpose. notice: level. "
                "usage: credits, context_percent, duration_ms. All: agent, where a sub-agent made it.",
            },
            "final": _flag("No more text will be appended."),
            "recorded": _flag("Kiro's own store holds it so."),
            "created_at": _time("When it was first seen."),
            "updated_at": _time("When it last changed."),
        },
        optional=("key",),
    ),
    "SessionList": _document(
        {
            "sessions": _list(ref("Session"), "All sessions, the one that changed last first."),
            "primary": text("The id of the session that AgentAPI's routes show.", nullable=True),
        }
    ),
    "SessionBody": _document({"session": ref("Session", "The session.")}),
    "ItemPage": _document(
        {
            "items": _list(ref("Item"), "Items, oldest first."),
            "turns": _list(ref("Turn"), "The turns they belong to, oldest first."),
            "last_seq": _whole("Events after this one are not in the page yet."),
            "more": _flag("There are older items."),
        }
    ),
    "PromptRequestBody": _document({"content": text("The prompt.", example="Hello, agent!")}),
    "PromptResponseBody": _document(
        {
            "turn_id": _whole("The turn that was made."),
            "message_id": _whole("The AgentAPI id of the prompt; the answer has the next one."),
        }
    ),
    "CancelResponseBody": _document({"cancelled": _flag("A turn was running and is being stopped.")}),
    "ItemEvent": _object({**_TURN_PLACE, "item": ref("Item", "The whole item, new or changed.")}),
    "DeltaEvent": _object(
        {
            **_TURN_PLACE,
            "item_id": _whole("The item whose text grows."),
            "offset": _whole("Where the text goes, in characters (Unicode code points) of the item's text."),
            "text": text("What follows there."),
            "at": _time("When it was written."),
        }
    ),
    "RemovedEvent": _object({**_TURN_PLACE, "item_id": _whole("The item that was taken back.")}),
    "TurnEvent": _object({**_PLACE, "turn": ref("Turn", "The whole turn; its `state` says what happened.")}),
    "SessionEvent": _object({**_PLACE, "session": ref("Session", "The whole session.")}),
}

SCHEMAS: dict[str, JsonObject] = {**_AGENTAPI, **_OURS}
