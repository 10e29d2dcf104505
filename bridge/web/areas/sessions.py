"""Sessions: the list, single ones, search, folders, and conversations that were begun elsewhere."""

from __future__ import annotations

from bridge.web.operation import Operation
from bridge.web.shapes import (
    JsonObject,
    choice,
    document,
    flag,
    listing,
    query,
    query_text,
    ref,
    shape,
    text,
    time,
    whole,
)

TITLE_MOST = 200
CWD_MOST = 4096
NAME_MOST = 200
TOOLS_MOST = 200
PROMPT_MOST = 4 * 1024 * 1024

_MODEL = "The model Kiro is asked for, empty for its own choice."
_AGENT = "Kiro's agent, empty for its own default."
_EFFORT = "How much the model thinks, empty for Kiro's own default."
_TRUST_TOOLS = "The tools that run without asking where `trust` is `listed`."

_WISHES: JsonObject = {
    "model": text("The model to ask Kiro for, empty for what the settings say.", maxLength=NAME_MOST),
    "agent": text("Kiro's agent, empty for what the settings say.", maxLength=NAME_MOST),
    "effort": text("How much the model thinks, empty for what the settings say.", maxLength=NAME_MOST),
    "trust": ref("TrustWish", "Which tools run without asking, empty for what the settings say."),
    "trust_tools": listing(text("The name of a tool.", maxLength=NAME_MOST), _TRUST_TOOLS, maxItems=TOOLS_MOST),
}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "list-sessions",
        "GET",
        "/api/v1/sessions",
        "List sessions",
        "Returns the sessions, pinned ones first, then the one that changed last, and which of them AgentAPI's routes "
        "show.",
        gives="SessionList",
        parameters=(query_text("archived", "Whether archived ones are listed.", "false", "true", "all"),),
    ),
    Operation(
        "create-session",
        "POST",
        "/api/v1/sessions",
        "Make a session",
        "Makes a session in a new folder, or in the one given, and sends it a prompt if there is one.",
        takes="NewSession",
        gives="SessionBody",
        status=201,
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
        "change-session",
        "PATCH",
        "/api/v1/sessions/{session_id}",
        "Change a session",
        "Changes what is given and leaves the rest. Also while a turn runs: `trust` counts from the next tool on, the "
        "others from the next prompt on.",
        takes="SessionChange",
        gives="SessionBody",
    ),
    Operation(
        "delete-session",
        "DELETE",
        "/api/v1/sessions/{session_id}",
        "Delete a session",
        "Deletes what the bridge knows of a session. Its folder stays. Refused for the primary session and while a "
        "turn runs.",
        gives="DeletedBody",
        parameters=(
            query_text(
                "kiro", "Whether kiro-cli is told to delete its own record of the conversation too.", "false", "true"
            ),
        ),
    ),
    Operation(
        "fork-session",
        "POST",
        "/api/v1/sessions/{session_id}/fork",
        "Fork a session",
        "Makes a session in the same folder whose first prompt takes the conversation so far along.",
        takes="ForkRequest",
        gives="SessionBody",
        status=201,
    ),
    Operation(
        "get-session-status",
        "GET",
        "/api/v1/sessions/{session_id}/status",
        "Get a session's status",
        "Returns what a session is doing, since when, and who is waited for.",
        gives="SessionStatus",
    ),
    Operation(
        "search",
        "GET",
        "/api/v1/search",
        "Search sessions",
        "Returns the places where all the words stand, or words that begin with them: titles first, then prompts, "
        "answers and tool calls, newest first.",
        gives="SearchResults",
        parameters=(
            query_text("q", "The words.", required=True, maxLength=1000),
            query("limit", "How many places at most.", minimum=1, maximum=100, default=30),
        ),
    ),
    Operation(
        "list-folders",
        "GET",
        "/api/v1/folders",
        "List folders",
        "Returns the folders that sessions have worked in, the last used first, and where new ones are made.",
        gives="FolderList",
    ),
    Operation(
        "list-kiro-sessions",
        "GET",
        "/api/v1/kiro-sessions",
        "List conversations begun elsewhere",
        "Returns the newest conversations in Kiro's own stores that were not begun here: in a terminal or an IDE.",
        gives="KiroSessionList",
        parameters=(query_text("cwd", "Only those of this folder.", maxLength=CWD_MOST),),
    ),
    Operation(
        "adopt-kiro-session",
        "POST",
        "/api/v1/kiro-sessions/{engine}/{kiro_id}",
        "Take a conversation over",
        "Reads a conversation of Kiro's into a session, which continues it. Asked again it gives the same session.",
        gives="SessionBody",
        status=201,
    ),
    Operation(
        "subscribe-events",
        "GET",
        "/api/v1/events",
        "Subscribe to the events of all sessions",
        "Server-sent events for a list of sessions: every change of a session, every state of a turn, and the items by "
        "which Kiro waits for somebody. Coming back with `Last-Event-ID` nothing is lost.",
        events=(("session", "SessionEvent"), ("turn", "TurnEvent"), ("item", "ItemEvent")),
        parameters=(
            query("last_event_id", "Send what follows this sequence. The header `Last-Event-ID` wins.", minimum=0),
            {**query("Last-Event-ID", "Send what follows this sequence.", minimum=0), "in": "header"},
        ),
    ),
)

SCHEMAS: dict[str, JsonObject] = {
    "Phase": choice("Phase", "starting", "ready", "working", "waiting", "failed", example="ready"),
    "Trust": choice("Trust", "all", "listed", "ask", example="ask"),
    "TrustWish": choice("TrustWish", "", "all", "listed", "ask", example="ask"),
    "Problem": shape(
        {
            "code": text("A stable machine-readable name.", example="not_logged_in"),
            "cause": text("What was found and why it is wrong."),
            "remedy": text("What to do about it."),
        }
    ),
    "Session": shape(
        {
            "id": text("The id of the session."),
            "title": text("The title, empty while there is none."),
            "cwd": text("The directory the agent works in."),
            "engine": text(
                "The engine of Kiro that holds the conversation.", enum=["v1", "v2", "v3", None], nullable=True
            ),
            "kiro_id": text("Kiro's own id of the conversation.", nullable=True),
            "created_at": time("When it was made."),
            "updated_at": time("When it last changed."),
            "pinned": flag("It stands at the top of the list."),
            "archived": flag("It is put away."),
            "origin": text("Where the conversation was begun.", enum=["bridge", "kiro"]),
            "model": text(_MODEL),
            "agent": text(_AGENT),
            "effort": text(_EFFORT),
            "trust": ref("Trust", "Which tools run without asking, as it is in force."),
            "trust_tools": listing(text("The name of a tool."), _TRUST_TOOLS),
            "phase": ref("Phase", "What it is doing."),
            "last_line": text("The beginning of what was said last, at most 160 characters."),
            "queued": whole("How many prompts wait."),
            "transport": text(
                "How Kiro is driven, null while it is not known.", enum=["acp", "headless", None], nullable=True
            ),
            "deleted": flag("It is gone: this is the last that is heard of it."),
        }
    ),
    "SessionList": document(
        {
            "sessions": listing(ref("Session"), "The sessions, pinned ones first, then the one that changed last."),
            "primary": text("The id of the session that AgentAPI's routes show.", nullable=True),
        }
    ),
    "SessionBody": document({"session": ref("Session", "The session.")}),
    "NewSession": document(
        {
            "cwd": text(
                "The folder to work in: within `allowed_folders`, or one used before. Without it a new one is made.",
                minLength=1,
                maxLength=CWD_MOST,
            ),
            "title": text("The title; without it the first prompt gives it.", maxLength=TITLE_MOST),
            "prompt": text("The first prompt.", maxLength=PROMPT_MOST),
            **_WISHES,
        },
        optional=("cwd", "title", "prompt", *_WISHES),
    ),
    "SessionChange": document(
        {
            "title": text("The title, which Kiro's own never replaces.", maxLength=TITLE_MOST),
            "pinned": flag("Whether it stands at the top of the list."),
            "archived": flag("Whether it is put away; what Kiro runs for it is ended."),
            **_WISHES,
        },
        optional=("title", "pinned", "archived", *_WISHES),
    ),
    "DeletedBody": document({"deleted": flag("It is gone.")}),
    "ForkRequest": document(
        {"title": text("The title of the new session.", maxLength=TITLE_MOST)}, optional=("title",)
    ),
    "Doing": shape(
        {"text": text("What runs now, in a few words."), "since": time("Since when.")},
    ),
    "SessionStatus": document(
        {
            "phase": ref("Phase", "What it is doing."),
            "ready": flag("Whether a prompt sent now would reach Kiro."),
            "problem": ref("Problem", "Why not, when `ready` is false."),
            "doing": ref("Doing", "What the running turn does."),
            "turn_id": whole("The running turn."),
            "approvals": listing(whole("The id of an item."), "What Kiro waits to have answered, oldest first."),
            "queued": whole("How many prompts wait."),
        },
        optional=("problem", "doing", "turn_id"),
    ),
    "SearchResult": shape(
        {
            "session_id": text("The session."),
            "title": text("Its title."),
            "item_id": whole("The item in which it stands, null for a title.", nullable=True),
            "turn_id": whole("The turn of the item, null for a title.", nullable=True),
            "snippet": text("The place as plain text; what was found stands between U+E000 and U+E001."),
            "at": time("When the item was made, or when the session last changed."),
        }
    ),
    "SearchResults": document(
        {"results": listing(ref("SearchResult"), "The places, titles first, then newest first.")}
    ),
    "Folder": shape(
        {
            "path": text("The folder."),
            "used_at": time("When a session in it last changed."),
            "sessions": whole("How many sessions work in it."),
        }
    ),
    "FolderList": document(
        {
            "root": text("The folder in which a new session gets its own."),
            "folders": listing(ref("Folder"), "Folders, the last used first."),
        }
    ),
    "KiroSession": shape(
        {
            "engine": text("The engine that holds it.", enum=["v1", "v2", "v3"]),
            "kiro_id": text("Kiro's own id of it."),
            "cwd": text("The folder it was begun in."),
            "title": text("Its title, or the beginning of its first prompt; empty where neither is known."),
            "updated_at": time("When it last changed."),
            "prompts": whole("How many prompts it holds, null where that would cost too much.", nullable=True),
            "session_id": text("The session that continues it, null while none does.", nullable=True),
        }
    ),
    "KiroSessionList": document({"sessions": listing(ref("KiroSession"), "Conversations, the last changed first.")}),
}
