"""Engine v3 over ACP.

Invariant: facts/kiro-wire.md 9 to 16. Without `--auth-method cli` the client is asked for the access token; the
stand-in only looks at its time of expiry and forgets it.
"""

from __future__ import annotations

import json
import shutil
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from standin import places, store_v3
from standin.acp import surface, v3_lists
from standin.acp.agent import ANSWERED, Agent
from standin.acp.session import Session
from standin.acp.v3_frames import V3Frames
from standin.acp.wire import INTERNAL, INVALID_PARAMS, METHOD_NOT_FOUND, Reply, RpcError, Wire
from standin.arguments import Arguments
from standin.linefile import replace_file
from standin.model import Failure, Json, TurnInfo, iso_millis, new_id, now_ms
from standin.personality import Personality

#: A token that expires sooner is refused (facts/kiro-wire.md 9), in seconds.
BUFFER = 180.0
#: How often a client is asked again for a good token before a turn fails.
ATTEMPTS = 3
#: How long an MCP server takes to start, in seconds: it does not hold back the session (facts/kiro-wire.md 16).
MCP_START = 0.05


class V3Agent(Agent):
    """The Node engine, as far as a stand-in can play it."""

    engine = "v3"

    def __init__(self, wire: Wire, personality: Personality, arguments: Arguments) -> None:
        super().__init__(wire, personality, arguments)
        self.answers_itself = arguments.values.get("auth-method") == "cli"
        self.token: Reply | None = None
        self.streams_shell = False
        self.handlers |= {
            "session/set_config_option": self.set_option,
            "session/list": self.list_sessions,
            "session/fork": self.fork,
            "_session/steer": self.steer,
            "_session/steer/clear": self.steer_clear,
            "_kiro/session/compact": self.compact,
            "_kiro/session/rename": self.rename,
            "_kiro/session/delete": self.delete,
            "_kiro/session/history": lambda request, params: {"updates": [], "hasMore": False},
            "_kiro/session/context": lambda request, params: None,
        }

    def initialize(self, request: Any, params: Json) -> Any:
        """The question for the token goes out first and is not waited for (facts/kiro-wire.md 9)."""
        offered = ((params.get("clientCapabilities") or {}).get("_meta") or {}).get("kiro") or {}
        self.streams_shell = bool(offered.get("streamingShellContent"))
        self._ask_token()
        more: Json = {
            "checkpoints": True,
            "sessionList": True,
            "policyNotifications": True,
            "extensionMethods": list(v3_lists.EXTENSIONS),
            "sessionSources": ["local"],
            "sessionListScopes": ["workspace"],
            "executionTargets": ["local"],
            "sourceProviders": False,
            **({"replayMarking": True} if self.personality.marks_replay else {}),
            "logging": _logging(),
        }
        capabilities: Json = {
            "loadSession": True,
            "promptCapabilities": {"image": True, "embeddedContext": True},
            "mcpCapabilities": {"http": True, "sse": True},
            "sessionCapabilities": {"list": {}, "fork": {"_meta": {"kiro": {"messageId": True}}}},
            "_meta": {"kiro": more},
        }
        ways = [("aws-builder-id", "AWS Builder ID"), ("aws-iam-identity-center", "AWS IAM Identity Center")]
        methods = [{"id": key, "name": name} for key, name in ways]
        return {"protocolVersion": 1, "agentCapabilities": capabilities, "authMethods": methods}

    def _ask_token(self) -> None:
        if not self.answers_itself:
            self.token = self.wire.request("_kiro/auth/getAccessToken", {})

    def ready_to_prompt(self, session: Session) -> Failure | None:
        """A good token, or the failure of facts/kiro-wire.md 9."""
        if self.answers_itself:
            return super().ready_to_prompt(session)
        why = "no answer"
        for _ in range(ATTEMPTS):
            if self.token is None:
                self._ask_token()
            assert self.token is not None
            session.wait_for(self.token)
            why = _token_problem(self.token)
            if not why or session.stop.is_set():
                return None
            self.token = None
        text = f"Authentication token is invalid: {why}"
        return Failure("TokenInvalidError", text)

    def frames(self, session: Session) -> V3Frames:
        """Frames of that session."""
        return V3Frames(self.wire, self.personality, session)

    def unknown(self, method: str) -> RpcError:
        """An extension method is an internal error there (facts/kiro-wire.md 15); any other is [L]."""
        if method.startswith("_"):
            return RpcError(INTERNAL, "Internal error", {"details": f"Unknown ext method: {method}"})
        return RpcError(METHOD_NOT_FOUND, f'"Method not found": {method}', {"method": method})

    def _open(self, cwd: str, folder: Path | None) -> tuple[Session, Json]:
        """The session with its store, and its agent's file."""
        name, body = self.agent_named(cwd)
        model = self.model_named(body)
        store = store_v3.V3Store(cwd, model, folder)
        store.launcher_answers = False
        session = Session(store, cwd, name, str(store.session.get("modelId", model)), self.trust(cwd, body))
        session.titled = folder is not None
        session.streams_shell = self.streams_shell
        mode = "vibe" if name == surface.DEFAULT_AGENT else name
        session.chosen = {"mode": mode, "model": session.model, "autopilot": "on", "contentCollection": "on"}
        self.sessions[session.id] = session
        return session, body

    def new(self, request: Any, params: Json) -> Any:
        """Pushes of the new id, the result, more pushes (facts/kiro-wire.md 10)."""
        session, body = self._open(self.cwd(params), None)
        servers = surface.servers(session.cwd, body, params.get("mcpServers"))
        for method, pushed in v3_lists.pushes(session.id, servers):
            self.wire.notify(method, pushed)
        frames = self.frames(session)
        place = {"source": "local", "executionTarget": {"kind": "local"}, "cwd": session.cwd}
        frames.changed(**place, title="New Session", status="idle")
        result = {"_meta": self._about(session), "sessionId": session.id, **self._choices(session, with_model=False)}
        self.wire.answer(request, result)
        frames.after_start()
        self._start_servers(session, servers)
        self._ask_token_again()
        return ANSWERED

    def _ask_token_again(self) -> None:
        """The engine asks once or more per session (facts/kiro-wire.md 9); the first answer stays good."""
        if not self.answers_itself:
            self.wire.request("_kiro/auth/getAccessToken", {})

    def _start_servers(self, session: Session, servers: list[surface.Server]) -> None:
        """The states after the start, a little later."""
        if servers:
            states = {"sessionId": session.id, "servers": v3_lists.mcp_states(servers, started=True)}
            timer = threading.Timer(MCP_START, self.wire.notify, ("_kiro/mcp/status", states))
            timer.daemon = True
            timer.start()

    def _about(self, session: Session) -> Json:
        """`_meta` of a new session's result (facts/kiro-wire.md 10)."""
        assert isinstance(session.store, store_v3.V3Store)
        stored = session.store.session
        keys = ("schemaVersion", "id", "title", "agentMode", "workspacePaths", "createdAt", "lastModifiedAt")
        flags = {"semanticReviewEnabled": True, "ftaEnabled": False, "specPlanEnabled": False}
        flows: Json = {"workflowsEnabled": False} if self.personality.marks_replay else {}
        spec = {"specWorkflow": "quick", "specSkipClarificationEnabled": True, "source": "local"}
        return {**{key: stored[key] for key in keys}, **flags, **flows, **spec}

    def _choices(self, session: Session, with_model: bool = True) -> Json:
        modes = v3_lists.modes(session.cwd, session.chosen["mode"], self.personality)
        found = v3_lists.options(session.cwd, session.chosen, self.personality, with_model)
        return {"modes": modes, "configOptions": found}

    def load(self, request: Any, params: Json) -> Any:
        """The replay, pushes, the result without an id, more pushes (facts/kiro-wire.md 16)."""
        cwd, wanted = self.cwd(params), str(params.get("sessionId"))
        session = self.sessions.get(wanted)
        body: Json = {}
        if session is None:
            folder = store_v3.find(wanted)
            if folder is None:
                raise RpcError(INTERNAL, "Internal error", {"details": f"Session not found: {wanted}"})
            session, body = self._open(cwd, folder)
        assert isinstance(session.store, store_v3.V3Store)
        frames = self.frames(session)
        frames.replay(_rows(session.store.rows))
        servers = surface.servers(cwd, body, params.get("mcpServers"))
        pushed = dict(v3_lists.pushes(session.id, servers))
        for method in ("_kiro/mcp/status", "_kiro/progressive_context/items_changed", "_kiro/tools/didChange"):
            self.wire.notify(method, pushed[method])
        frames.options_update()
        self.wire.notify("_kiro/powers/items_changed", pushed["_kiro/powers/items_changed"])
        usage = {"summarizationThreshold": 80, "truncationThreshold": 95, "usagePercentage": session.context}
        stored = session.store.session
        keys = ("agentMode", "createdAt", "id", "lastModifiedAt", "title", "workspacePaths")
        place = {"source": "local", "executionTarget": {"kind": "local"}}
        about = {**{key: stored[key] for key in keys}, "contextUsage": usage, **place}
        self.wire.answer(request, {"_meta": about, **self._choices(session)})
        self.wire.notify("_kiro/steering/documents_changed", v3_lists.documents(session.id))
        frames.after_start()
        self._start_servers(session, servers)
        return ANSWERED

    def set_mode(self, request: Any, params: Json) -> Any:
        """The mode as an option ([L]: never recorded)."""
        self._choose(self.session(params), "mode", str(params.get("modeId")))
        return {}

    def set_option(self, request: Any, params: Json) -> Any:
        """`session/set_config_option` (facts/kiro-wire.md 10)."""
        session = self.session(params)
        self._choose(session, str(params.get("configId")), str(params.get("value")))
        return {"configOptions": v3_lists.options(session.cwd, session.chosen, self.personality)}

    def _choose(self, session: Session, key: str, value: str) -> None:
        found = v3_lists.options(session.cwd, session.chosen, self.personality)
        option = next((one for one in found if one["id"] == key), None)
        if option is None or value not in [one["value"] for one in option["options"]]:
            raise RpcError(INVALID_PARAMS, f"Invalid params: no option {key!r} with the value {value!r}")  # [L]
        session.chosen[key] = value
        session.model = session.chosen["model"]
        self.frames(session).options_update()
        if key == "mode":
            self.wire.notify("_kiro/policy/changed", {"sessionId": session.id, "status": "success"})
            self.wire.notify("_kiro/tools/didChange", v3_lists.tools_changed(session.id))

    def list_sessions(self, request: Any, params: Json) -> Any:
        """`session/list`, of a folder or all (facts/kiro-wire.md 16)."""
        wanted = params.get("cwd")
        listed = []
        for stored in store_v3.sessions():
            cwd = (stored["workspacePaths"] or [""])[0]
            if wanted in (None, cwd):
                more = {"agentMode": stored["agentMode"], "createdAt": stored["createdAt"], "source": "local"}
                meta = {"kiro": {**more, "executionTarget": {"kind": "local"}, "status": stored["status"]}}
                head = {"sessionId": stored["id"], "cwd": cwd, "title": stored["title"]}
                listed.append({**head, "updatedAt": stored["lastModifiedAt"], "_meta": meta})
        return {"sessions": listed}

    def fork(self, request: Any, params: Json) -> Any:
        """A copy under a new id; no pushes (facts/kiro-wire.md 16)."""
        parent = str(params.get("sessionId"))
        folder = store_v3.find(parent)
        if folder is None:
            raise RpcError(INTERNAL, "Internal error", {"details": f"Session not found: {parent}"})
        fresh = folder.parent / f"sess_{new_id()}"
        shutil.copytree(folder, fresh)
        stored = json.loads((fresh / "session.json").read_text("utf-8"))
        now = iso_millis(now_ms())
        reason = (((params.get("_meta") or {}).get("kiro")) or {}).get("createdReason", "fork")
        stored.update(id=fresh.name, parentSessionId=parent, createdReason=reason, createdAt=now, lastModifiedAt=now)
        stored["title"] = str(params.get("title") or f"Fork of {stored['title']}")
        replace_file(fresh / "session.json", json.dumps(stored))
        session, _ = self._open(self.cwd(params), fresh)
        return {"sessionId": fresh.name, **self._choices(session), "_meta": {"kiro": {"parentSessionId": parent}}}

    def steer(self, request: Any, params: Json) -> Any:
        """A message for the next model call: `message`, not `text` (facts/kiro-wire.md 15, 16; the result is [L])."""
        session, message = self.session(params), params.get("message")
        if not message:
            raise RpcError(INTERNAL, "Internal error", {"details": "_session/steer: missing or empty message"})
        session.steering.append(str(message))
        return {"queued": True, "messageId": new_id()}

    def steer_clear(self, request: Any, params: Json) -> Any:
        """Forget what waits (recorded with an empty list)."""
        self.session(params).steering.clear()
        return {"cleared": True, "messageIds": []}

    def compact(self, request: Any, params: Json) -> Any:
        """`_kiro/session/compact`: the end is told, then the result (facts/kiro-wire.md 16)."""
        session = self.session(params)
        session.store.damage("compact", "")
        self.frames(session).compacted("Summary by the stand-in.")
        return {"success": True}

    def rename(self, request: Any, params: Json) -> Any:
        """`_kiro/session/rename`."""
        session, title = self.session(params), str(params.get("title"))
        assert isinstance(session.store, store_v3.V3Store)
        session.store.session["title"] = title
        self.frames(session).titled(title)
        return {"success": True}

    def delete(self, request: Any, params: Json) -> Any:
        """`_kiro/session/delete`."""
        wanted = str(params.get("sessionId"))
        self.sessions.pop(wanted, None)
        if not store_v3.delete(wanted):
            return {"success": False, "message": f"Session not found: {wanted}"}  # [L]
        self.wire.notify("_kiro/sessions/changed", {"upserted": [], "deleted": [wanted]})
        return {"success": True}

    def mcp_trouble(self, session: Session) -> None:
        """The whole list again (facts/kiro-wire.md 16)."""
        servers = [surface.Server("broken", "failed", "exit code 1"), surface.Server("locked", "login")]
        states = v3_lists.mcp_states(servers, started=True)
        self.wire.notify("_kiro/mcp/status", {"sessionId": session.id, "servers": states})

    def answer_failed_prompt(self, request: Any, failure: Failure) -> None:
        """-32603 with the text in `data.details` ([L]: only other errors were recorded, facts/kiro-wire.md 15)."""
        self.wire.refuse(request, RpcError(INTERNAL, "Internal error", {"details": self.error_data(failure)}))

    def frames_after(self, session: Session, info: TurnInfo, stop_reason: str) -> None:
        """One more context_usage (facts/kiro-wire.md 11)."""
        self.frames(session).closing()


def _logging() -> Json:
    """Where the logs would be; the stand-in writes none."""
    folder = places.kiro_home() / "logs" / datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S000")
    channels = [{"name": name, "filePath": str(folder / f"{name}.log")} for name in ("kiro", "mcp")]
    return {"logDir": str(folder), "channels": channels}


def _token_problem(reply: Reply) -> str:
    """Why the client's answer is no good token, or an empty text."""
    result = reply.result if isinstance(reply.result, dict) else {}
    if not result.get("accessToken"):
        return f"the client answered {json.dumps(reply.error)[:200]}" if reply.error else "the client gave no token"
    stamp = str(result.get("expiresAt", ""))
    try:
        expires = datetime.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return f"expiresAt is no time: {stamp[:40]!r}"
    if (expires - datetime.now(timezone.utc)).total_seconds() < BUFFER:
        return f"Host refresh callback returned token already inside 180000ms refresh buffer (expiresAt={stamp[:40]})"
    return ""


def _rows(path: Path) -> list[Json]:
    """The rows of a session file; those that are none are left out."""
    rows = []
    try:
        lines = path.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            row = json.loads(line)
            row["payload"]["type"]
        except (ValueError, KeyError, TypeError):
            continue
        rows.append(row)
    return rows
