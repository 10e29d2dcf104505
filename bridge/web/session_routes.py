"""`/api/v1/sessions` and what belongs to all sessions: search, folders, conversations begun elsewhere, their events."""

from __future__ import annotations

from typing import Any, cast

from flask import Response, request

from bridge.core.feed import Engine
from bridge.core.records import Session, SessionChange, SessionOptions
from bridge.core.text import strip_prompt
from bridge.web import validation, wire
from bridge.web.areas.sessions import CWD_MOST
from bridge.web.operation import View
from bridge.web.replies import INVALID, Refusal, entry, reply
from bridge.web.service import chat, streams
from bridge.web.session_service import session_service
from bridge.web.wire import JsonObject, utc_time

BODY_LIMIT = 16 * 1024 * 1024
BODY_SECONDS = 60.0
_ARCHIVED = {"false": False, "true": True, "all": None}
_WORDS = ("model", "agent", "effort")
_FOUND_DEFAULT, _FOUND_MOST = 30, 100


def list_sessions() -> Response:
    """Answer `GET /api/v1/sessions`."""
    archived = _ARCHIVED[validation.query_word("archived", "false", "true", "all")]
    listed = [wire.session_json(one, chat().facts(one)) for one in chat().sessions(archived=archived)]
    return reply("SessionList", {"sessions": listed, "primary": chat().primary()})


def create_session() -> Response:
    """Answer `POST /api/v1/sessions`."""
    body = validation.json_body("NewSession", limit=BODY_LIMIT, seconds=BODY_SECONDS)
    options = SessionOptions(**_wishes(body))
    prompt = strip_prompt(body.get("prompt", ""))
    return _session(session_service().create(body.get("cwd"), _title(body), options, prompt), 201)


def get_session(session_id: str) -> Response:
    """Answer `GET /api/v1/sessions/<id>`."""
    return _session(chat().session(session_id))


def change_session(session_id: str) -> Response:
    """Answer `PATCH /api/v1/sessions/<id>`."""
    body = validation.json_body("SessionChange", limit=BODY_LIMIT, seconds=BODY_SECONDS)
    title = _title(body) if "title" in body else None
    change = SessionChange(title=title, pinned=body.get("pinned"), archived=body.get("archived"))
    return _session(session_service().change(session_id, change, _wishes(body)))


def delete_session(session_id: str) -> Response:
    """Answer `DELETE /api/v1/sessions/<id>`."""
    kiro = validation.query_word("kiro", "false", "true") == "true"
    session_service().delete(session_id, kiro=kiro)
    return reply("DeletedBody", {"deleted": True})


def fork_session(session_id: str) -> Response:
    """Answer `POST /api/v1/sessions/<id>/fork`."""
    body = validation.json_body("ForkRequest", limit=BODY_LIMIT, seconds=BODY_SECONDS)
    return _session(session_service().fork(session_id, _title(body)), 201)


def get_status(session_id: str) -> Response:
    """Answer `GET /api/v1/sessions/<id>/status`."""
    detail = session_service().detail(session_id)
    fields: JsonObject = {
        "phase": detail.status.phase,
        "ready": detail.status.ready,
        "approvals": [stored.id for stored in detail.approvals],
        "queued": detail.queued,
    }
    if detail.status.problem is not None:
        fields["problem"] = detail.status.problem.as_dict()
    if detail.running is not None:
        fields["turn_id"], doing = detail.running
        fields["doing"] = {"text": doing.text, "since": utc_time(doing.since)}
    return reply("SessionStatus", fields)


def search() -> Response:
    """Answer `GET /api/v1/search`."""
    words = validation.query_str("q", required=True, most=1000)
    limit = validation.query_int("limit", lowest=1, highest=_FOUND_MOST)
    found = session_service().search(words, _FOUND_DEFAULT if limit is None else limit)
    return reply("SearchResults", {"results": [{**vars(one), "at": utc_time(one.at)} for one in found]})


def list_folders() -> Response:
    """Answer `GET /api/v1/folders`."""
    root, folders = session_service().folders()
    listed = [{"path": one.path, "used_at": utc_time(one.used_at), "sessions": one.sessions} for one in folders]
    return reply("FolderList", {"root": root, "folders": listed})


def list_kiro_sessions() -> Response:
    """Answer `GET /api/v1/kiro-sessions`."""
    cwd = validation.query_str("cwd", most=CWD_MOST)
    listed = [
        {
            **vars(found),
            "updated_at": utc_time(found.updated_at),
            "session_id": None if session is None else session.id,
        }
        for found, session in session_service().elsewhere(cwd or None)
    ]
    return reply("KiroSessionList", {"sessions": listed})


def adopt_kiro_session(engine: str, kiro_id: str) -> Response:
    """Answer `POST /api/v1/kiro-sessions/<engine>/<id>`."""
    if engine not in ("v1", "v2", "v3"):
        raise Refusal(
            404, f"Kiro has no engine {engine!r}.", kind="unknown-conversation", remedy="It has v1, v2 and v3."
        )
    return _session(session_service().adopt(cast(Engine, engine), kiro_id), 201)


def events() -> Response:
    """Answer `GET /api/v1/events`; the header `Last-Event-ID` wins over the query."""
    return streams().overview(request, validation.last_event_id())


VIEWS: dict[str, View] = {
    "list-sessions": list_sessions,
    "create-session": create_session,
    "get-session": get_session,
    "change-session": change_session,
    "delete-session": delete_session,
    "fork-session": fork_session,
    "get-session-status": get_status,
    "search": search,
    "list-folders": list_folders,
    "list-kiro-sessions": list_kiro_sessions,
    "adopt-kiro-session": adopt_kiro_session,
    "subscribe-events": events,
}


def _session(session: Session, status: int = 200) -> Response:
    return reply("SessionBody", {"session": wire.session_json(session, chat().facts(session))}, status)


def _title(body: JsonObject) -> str:
    """Return the title of a body on one line."""
    return " ".join("".join(map(_visible, body.get("title", ""))).split())


def _visible(character: str) -> str:
    return character if character.isprintable() else " "


def _wishes(body: JsonObject) -> dict[str, Any]:
    """Return what a body asks of Kiro, as fields of SessionOptions; refuses what no command line can carry."""
    wishes = {name: body[name] for name in (*_WORDS, "trust", "trust_tools") if name in body}
    for name in _WORDS:
        if not _is_word(wishes.get(name, "")):
            raise Refusal(422, INVALID, [entry("expected printable text", f"body.{name}", wishes[name])])
    if "trust_tools" in wishes:
        tools = tuple(wishes["trust_tools"])
        if not all(tool and _is_word(tool) and "," not in tool for tool in tools):
            raise Refusal(422, INVALID, [entry("expected names of tools", "body.trust_tools")])
        wishes["trust_tools"] = tools
    return wishes


def _is_word(value: str) -> bool:
    return value.isprintable() and not value.startswith("-") and value == value.strip()
