"""AgentAPI's routes.

Invariant: names, types, `required` and enums of AgentAPI's shapes are the contract's (facts/agentapi-contract.md 1.1);
ours are additions.
"""

from __future__ import annotations

from bridge.web.operation import Operation
from bridge.web.shapes import JsonObject, choice, document, flag, listing, ref, shape, text, time, whole

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
)

_CONTENT = "The text of the message, as the agent wrote it: neither wrapped nor padded."
_ID = "Strictly increasing for the life of the conversation; an answer's id follows its prompt's."

SCHEMAS: dict[str, JsonObject] = {
    "AgentStatus": choice("AgentStatus", "running", "stable", example="stable"),
    "ConversationRole": choice("ConversationRole", "agent", "user", example="user"),
    "ErrorBody": shape(
        {
            "level": ref("ErrorLevel", "How bad it is."),
            "message": text("What went wrong."),
            "time": time("When it went wrong."),
        }
    ),
    "ErrorDetail": shape(
        {
            "location": text("Where in the request, such as `body.content` or `query.limit`."),
            "message": text("What is wrong there."),
            "value": {"description": "What was found there."},
        },
        optional=("location", "message", "value"),
    ),
    "ErrorLevel": choice("ErrorLevel", "error", "warning", example="warning"),
    "ErrorModel": document(
        {
            "title": text("The name of the status code.", example="Unprocessable Entity"),
            "status": whole("The HTTP status code.", example=422),
            "detail": text("What is wrong with this request.", example="validation failed"),
            "errors": {**listing(ref("ErrorDetail"), "The single violations."), "nullable": True},
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
    "Message": shape(
        {
            "id": whole(_ID),
            "content": text(_CONTENT, example="Hello world"),
            "role": ref("ConversationRole", "Who wrote it."),
            "time": time("When the turn it belongs to was accepted."),
        }
    ),
    "MessageRequestBody": document(
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
    "MessageResponseBody": document({"ok": flag("The prompt is recorded durably, or the key has had its effect.")}),
    "MessageType": choice("MessageType", "user", "raw"),
    "MessageUpdateBody": shape(
        {
            "id": whole(_ID),
            "role": ref("ConversationRole", "Who wrote it."),
            "message": text(_CONTENT + " One that would make the event longer than 120 KiB is cut, with a mark."),
            "time": time("When the turn it belongs to was accepted."),
        }
    ),
    "MessagesResponseBody": document({"messages": listing(ref("Message"), "All messages, oldest first.")}),
    "ScreenUpdateBody": shape({"screen": text("The text of the current or last answer.")}),
    "StatusChangeBody": shape(
        {"status": ref("AgentStatus", "The new status."), "agent_type": text("The kind of agent: `custom`.")}
    ),
    "StatusResponseBody": document(
        {
            "status": ref("AgentStatus", "`running` while a turn runs, `stable` when a prompt can be sent."),
            "agent_type": text("The kind of agent: `custom`."),
            "transport": ref("Transport", "How the agent is driven: `acp`, not through a terminal."),
            "phase": ref("Phase", "The status in more detail."),
            "ready": flag("Whether a prompt sent now would be answered."),
            "problem": ref("Problem", "Why not, when `ready` is false."),
        },
        optional=("phase", "ready", "problem"),
    ),
    "Transport": choice("Transport", "acp", "pty"),
    "UploadResponseBody": document(
        {
            "ok": flag("Whether the file was stored."),
            "filePath": text("The absolute path of the stored file, to be named in a prompt."),
        }
    ),
}
