"""What happens in a session: prompts and their queue, items, events, approvals."""

from __future__ import annotations

from bridge.web.operation import Operation
from bridge.web.shapes import JsonObject, choice, document, flag, listing, query, ref, shape, text, time, whole

REASON_MOST = 100_000
PLACE_MOST = 100_000

_SEQ = "The place of this change in the one sequence of all changes; also the `id:` of its event."
_PLACE: JsonObject = {"seq": whole(_SEQ), "session_id": text("The session it belongs to.")}
_TURN_PLACE: JsonObject = {**_PLACE, "turn_id": whole("The turn it belongs to.")}

_LAST_ID = "Send what follows this sequence; without it, what happens from now on."

_RENDER: JsonObject = {
    "name": "render",
    "in": "query",
    "description": "`html` gives items whose text is Markdown their `blocks`, and `blocks` events instead of `delta`.",
    "schema": {"type": "string", "enum": ["none", "html"], "default": "none"},
}
_SCOPE: JsonObject = {
    "name": "scope",
    "in": "query",
    "description": "With `render=html`, `all` adds the sessions, turns and approvals of all other sessions.",
    "schema": {"type": "string", "enum": ["session", "all"], "default": "session"},
}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "list-items",
        "GET",
        "/api/v1/sessions/{session_id}/items",
        "List items",
        "Returns the newest items of a session, or those right before an item, oldest first, with their turns.",
        gives="ItemPage",
        parameters=(
            query("before", "Only items older than the item with this id.", minimum=1),
            query("limit", "How many items at most.", minimum=1, maximum=500, default=100),
            _RENDER,
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
            ("blocks", "BlocksEvent"),
            ("removed", "RemovedEvent"),
            ("turn", "TurnEvent"),
            ("session", "SessionEvent"),
        ),
        parameters=(
            query("last_event_id", f"{_LAST_ID} The header `Last-Event-ID` wins.", minimum=0),
            {**query("Last-Event-ID", _LAST_ID, minimum=0), "in": "header"},
            _RENDER,
            _SCOPE,
        ),
    ),
    Operation(
        "post-prompt",
        "POST",
        "/api/v1/sessions/{session_id}/messages",
        "Post a prompt",
        "Sends a prompt of up to 16 MiB to a session. While a turn runs `now` is refused with 409, `queue` has the "
        "prompt wait for its end, and `steer` gives it to the running turn where Kiro can take it.",
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
    Operation(
        "get-queue",
        "GET",
        "/api/v1/sessions/{session_id}/queue",
        "Get the queue",
        "Returns the prompts that wait. The next one is sent when a turn completes; after one that did not, the queue "
        "is held until somebody resumes it.",
        gives="Queue",
    ),
    Operation(
        "change-queued",
        "PATCH",
        "/api/v1/sessions/{session_id}/queue/{queued_id}",
        "Change a queued prompt",
        "Changes the text of a prompt that waits, its place, or both.",
        takes="QueuedChange",
        gives="Queue",
    ),
    Operation(
        "remove-queued",
        "DELETE",
        "/api/v1/sessions/{session_id}/queue/{queued_id}",
        "Remove a queued prompt",
        "Takes a prompt out of the queue.",
        gives="Queue",
    ),
    Operation(
        "resume-queue",
        "POST",
        "/api/v1/sessions/{session_id}/queue/resume",
        "Resume the queue",
        "Has a held queue go on; the first prompt is sent at once if no turn runs.",
        gives="Queue",
    ),
    Operation(
        "answer-approval",
        "POST",
        "/api/v1/sessions/{session_id}/approvals/{item_id}",
        "Answer an approval",
        "Answers what Kiro waits for. The first answer counts: a later one gets 409 with `already-answered`. A reason "
        "for a rejection is sent to Kiro as the next prompt.",
        takes="Answer",
        gives="ItemBody",
    ),
)

SCHEMAS: dict[str, JsonObject] = {
    "Turn": shape(
        {
            "id": whole("The id of the turn."),
            "session_id": text("The session it belongs to."),
            "message_id": whole("The AgentAPI id of its prompt; the answer has the next one."),
            "prompt": text("What the user wrote."),
            "state": ref("TurnState", "How far it is."),
            "origin": text("Where the prompt came from.", enum=["user", "initial", "import"]),
            "accepted_at": time("When the prompt was recorded."),
            "changed_at": time("When the turn last changed."),
            "ended_at": time("When it ended.", nullable=True),
            "problem": ref("Problem", "Why it did not end well."),
        },
        optional=("problem",),
    ),
    "TurnState": choice("TurnState", "accepted", "running", "completed", "cancelled", "failed", "interrupted"),
    "ItemKind": choice("ItemKind", "text", "thought", "tool", "notice", "usage", "prompt", "approval", "plan"),
    "Item": shape(
        {
            "id": whole("The id of the item; it stays when the item changes."),
            "turn_id": whole("The turn it belongs to."),
            "key": text("Kiro's own id of it; it may change while the item is not recorded."),
            "kind": ref("ItemKind", "What it is."),
            "position": whole("Its place within the turn."),
            "text": text("Markdown, a tool's output, or a sentence, by kind."),
            "data": {
                "type": "object",
                "additionalProperties": True,
                "description": "tool: name, title, kind, status, input, exit_code, locations, purpose. notice: level. "
                "usage: credits, context_percent, duration_ms. approval: status (pending, answered, expired, "
                "interrupted), title, tool_key, question, options (id, label, kind), answer, reason. plan: steps "
                "(text, status). All: agent, where a sub-agent made it.",
            },
            "final": flag("No more text will be appended."),
            "recorded": flag("Kiro's own store holds it so."),
            "blocks": listing(text("Safe HTML."), "The text rendered, where that was asked for and it is Markdown."),
            "created_at": time("When it was first seen."),
            "updated_at": time("When it last changed."),
        },
        optional=("key", "blocks"),
    ),
    "ItemBody": document({"item": ref("Item", "The item.")}),
    "ItemPage": document(
        {
            "items": listing(ref("Item"), "Items, oldest first."),
            "turns": listing(ref("Turn"), "The turns they belong to, oldest first."),
            "last_seq": whole("Events after this one are not in the page yet."),
            "more": flag("There are older items."),
        }
    ),
    "PromptMode": choice("PromptMode", "now", "queue", "steer"),
    "PromptRequestBody": document(
        {
            "content": text("The prompt.", example="Hello, agent!"),
            "mode": ref(
                "PromptMode",
                "`now` (without it): a turn of its own, at once. `queue`: when it is its turn. `steer`: into the "
                "running turn.",
            ),
        },
        optional=("mode",),
    ),
    "PromptResponseBody": document(
        {
            "turn_id": whole("The turn that was made, null for a prompt that waits or steers.", nullable=True),
            "message_id": whole(
                "The AgentAPI id of the prompt, null like `turn_id`; the answer has the next one.", nullable=True
            ),
            "queued_id": whole("The prompt in the queue, null for one that does not wait.", nullable=True),
            "steered": flag("The running turn was given it."),
        }
    ),
    "CancelResponseBody": document({"cancelled": flag("A turn was running and is being stopped.")}),
    "QueuedPrompt": shape(
        {
            "id": whole("The id of the prompt in the queue."),
            "content": text("The prompt."),
            "created_at": time("When it was queued."),
        }
    ),
    "Queue": document(
        {
            "prompts": listing(ref("QueuedPrompt"), "The prompts that wait, the next one first."),
            "held": flag("Nothing is sent until somebody resumes the queue."),
            "reason": text("Why it is held, in words; empty while it is not."),
        }
    ),
    "QueuedChange": document(
        {
            "content": text("The new text."),
            "position": whole("The new place, 0 for the next one to be sent.", minimum=0, maximum=PLACE_MOST),
        },
        optional=("content", "position"),
    ),
    "Answer": document(
        {
            "option": text("The `id` of one of the item's options."),
            "reason": text("Why; where it rejects, Kiro's next prompt.", maxLength=REASON_MOST),
        },
        optional=("reason",),
    ),
    "ItemEvent": shape({**_TURN_PLACE, "item": ref("Item", "The whole item, new or changed.")}),
    "DeltaEvent": shape(
        {
            **_TURN_PLACE,
            "item_id": whole("The item whose text grows."),
            "offset": whole("Where the text goes, in characters (Unicode code points) of the item's text."),
            "text": text("What follows there."),
            "at": time("When it was written."),
        }
    ),
    "BlocksEvent": shape(
        {
            **_TURN_PLACE,
            "item_id": whole("The item whose text grows."),
            "from": whole("The first block that changes; those after it are replaced too.", minimum=0),
            "blocks": listing(text("Safe HTML."), "The blocks from there on."),
            "length": whole("Characters of the whole text."),
        }
    ),
    "RemovedEvent": shape({**_TURN_PLACE, "item_id": whole("The item that was taken back.")}),
    "TurnEvent": shape({**_PLACE, "turn": ref("Turn", "The whole turn; its `state` says what happened.")}),
    "SessionEvent": shape({**_PLACE, "session": ref("Session", "The whole session.")}),
}
