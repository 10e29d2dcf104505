"""Engine v2 over ACP.

Invariant: facts/kiro-wire.md 1 to 8.
"""

from __future__ import annotations

import json
from typing import Any

from standin import settings_file, store_v2
from standin.acp import surface
from standin.acp.agent import ANSWERED, Agent
from standin.acp.session import Session
from standin.acp.turns import AcpTurn
from standin.acp.v2_commands import Commands, options
from standin.acp.v2_frames import V2Frames
from standin.acp.wire import INTERNAL, METHOD_NOT_FOUND, RpcError, Wire
from standin.arguments import Arguments
from standin.model import Failure, Json, TurnInfo
from standin.personality import Personality


class V2Agent(Agent):
    """The Rust engine, as far as a stand-in can play it."""

    engine = "v2"

    def __init__(self, wire: Wire, personality: Personality, arguments: Arguments) -> None:
        super().__init__(wire, personality, arguments)
        self.commands = Commands(self)
        self.children: dict[str, Json] = {}
        self.handlers |= {
            "session/set_model": self.set_model,
            "_kiro.dev/commands/options": self.command_options,
            "_kiro.dev/commands/execute": self.command_execute,
            "_kiro.dev/settings/list": lambda request, params: settings_file.listed(),
            "_kiro.dev/session/list": self.list_sessions,
            "_kiro.dev/session/terminate": self.terminate,
            "_session/steer": self.steer,
            "_session/steer/clear": self.steer_clear,
            "_session/spawn": self.spawn_session,
            "_message/send": self.send_message,
        }

    def initialize(self, request: Any, params: Json) -> Any:
        """Capabilities; `authMethods` is not empty when nobody is logged in (facts/kiro-wire.md 1)."""
        capabilities: Json = {
            "loadSession": True,
            "promptCapabilities": {"image": True, "audio": False, "embeddedContext": False},
            "mcpCapabilities": {"http": True, "sse": False},
            "sessionCapabilities": {},
            **({"auth": {}} if self.personality.acp_auth_capability else {}),
        }
        way = {"id": "kiro-login", "name": "Kiro Login", "description": "Run 'kiro-cli login' to log in"}
        name = "Kiro CLI Agent"
        return {
            "protocolVersion": 1,
            "agentCapabilities": capabilities,
            "authMethods": [] if self.logged_in else [way],
            "agentInfo": {"name": name, "title": name, "version": self.personality.label},
        }

    def frames(self, session: Session) -> V2Frames:
        """Frames of that session."""
        return V2Frames(self.wire, self.personality, session)

    def unknown(self, method: str) -> RpcError:
        """`data` is the method's name (facts/kiro-wire.md 8)."""
        return RpcError(METHOD_NOT_FOUND, "Method not found", method)

    def _open(self, cwd: str, side: Json | None, agent: str = "") -> tuple[Session, Json]:
        """The session with its store, and its agent's file. Raises RpcError when another process has it."""
        name, body = self.agent_named(cwd, agent)
        model = self.model_named(body)
        if side is not None:
            model = str(side["session_state"]["rts_model_state"]["model_info"]["model_id"])
        try:
            store = store_v2.V2Store(cwd, name, model, side)
        except store_v2.SessionBusy as busy:
            raise RpcError(INTERNAL, "Internal error", str(busy)) from busy
        session = Session(store, cwd, name, model, self.trust(cwd, body))
        self.sessions[session.id] = session
        return session, body

    def new(self, request: Any, params: Json) -> Any:
        """Order: list_update, result, commands, metadata; with MCP servers frames of the new id come first
        (facts/kiro-wire.md 2)."""
        session, body = self._open(self.cwd(params), None)
        known = self._servers(session, body, params)
        self.frames(session).crew([])
        self.wire.answer(request, {"sessionId": session.id, **self._choices(session)})
        self._after_start(session, known)
        return ANSWERED

    def _choices(self, session: Session) -> Json:
        modes = surface.modes(session.cwd, session.agent)
        return {"modes": modes, "models": surface.models(self.personality, session.model, self.logged_in)}

    def _servers(self, session: Session, agent: Json, params: Json) -> list[surface.Server]:
        """The MCP servers' frames before the result."""
        known = surface.servers(session.cwd, agent, params.get("mcpServers"))
        for server in known:
            self._server_frame(session, server)
        if known:
            self.commands_available(session, known)
        return known

    def _server_frame(self, session: Session, server: surface.Server) -> None:
        """How a server's start ended; names of facts/kiro-cli.md 6.4, of which only `server_initialized` was recorded
        (the other two are [L])."""
        params = {"sessionId": session.id, "serverName": server.name}
        if server.state == "connected":
            self.wire.notify("_kiro.dev/mcp/server_initialized", params)
        elif server.state == "login":
            self.wire.notify("_kiro.dev/mcp/oauth_request", {**params, "oauthUrl": server.address})
        else:
            self.wire.notify("_kiro.dev/mcp/server_init_failure", {**params, "error": server.error})

    def _after_start(self, session: Session, known: list[surface.Server]) -> None:
        self.commands_available(session, known)
        self.frames(session).metadata()

    def commands_available(self, session: Session, known: list[surface.Server]) -> None:
        """The commands, tools and servers (facts/kiro-wire.md 2)."""
        states = {"connected": "running", "failed": "failed", "login": "needs-auth"}
        params = {
            "sessionId": session.id,
            "commands": surface.commands(),
            "prompts": [],
            "tools": [
                {"name": name, "description": f"The tool {name}", "source": "built-in"} for name in surface.TOOLS
            ],
            "mcpServers": [
                {"name": one.name, "status": states[one.state], "toolCount": 2 if one.state == "connected" else 0}
                for one in known
            ],
        }
        self.wire.notify("_kiro.dev/commands/available", params)

    def load(self, request: Any, params: Json) -> Any:
        """History as updates without a mark, then the result without an id (facts/kiro-wire.md 7)."""
        cwd, wanted = self.cwd(params), str(params.get("sessionId"))
        session = self.sessions.get(wanted)
        body: Json = {}
        if session is None:
            side = store_v2.find(wanted)
            if side is None:
                raise RpcError(INTERNAL, "Internal error", f"Failed to load session {wanted}: session not found")
            session, body = self._open(cwd, side, str(side["session_state"].get("agent_name", "")))
        known = self._servers(session, body, params)
        frames = self.frames(session)
        frames.crew([])
        self._replay(session, frames)
        frames.crew([])
        self.wire.answer(request, self._choices(session))
        self._after_start(session, known)
        return ANSWERED

    def _replay(self, session: Session, frames: V2Frames) -> None:
        """Prompts and texts of the file, each whole."""
        kinds = {"Prompt": "user_message_chunk", "AssistantMessage": "agent_message_chunk"}
        assert isinstance(session.store, store_v2.V2Store)
        for line in session.store.lines.read_text("utf-8", "surrogateescape").splitlines():
            try:
                entry = json.loads(line)
                if entry["kind"] == "Clear":
                    continue
                texts = [one["data"] for one in entry["data"]["content"] if one["kind"] == "text" and one["data"]]
            except (ValueError, KeyError, TypeError):
                continue
            for text in texts if entry["kind"] in kinds else []:
                frames.history(kinds[entry["kind"]], text)

    def set_mode(self, request: Any, params: Json) -> Any:
        """The mode is the agent's name (facts/kiro-cli.md 6.2; never recorded: [L])."""
        session = self.session(params)
        self.switch_agent(session, str(params.get("modeId")))
        return {}

    def switch_agent(self, session: Session, name: str) -> int:
        """Change the agent; its place in the list. Raises RpcError when there is none of that name."""
        known = [mode["id"] for mode in surface.modes(session.cwd, session.agent)["availableModes"]]
        if name not in known:
            raise RpcError(-32602, "Invalid params", f"Unknown agent: {name}")
        _, body = self.agent_named(session.cwd, name)
        if name != session.agent:
            params = {"sessionId": session.id, "agentName": name, "previousAgentName": session.agent}
            more = {"welcomeMessage": surface.welcome(name), "model": session.model}
            self.wire.notify("_kiro.dev/agent/switched", {**params, **more})
        session.agent, session.trust.allowed = name, tuple(str(one) for one in body.get("allowedTools") or ())
        return known.index(name)

    def set_model(self, request: Any, params: Json) -> Any:
        """A bad id fails only at the next prompt (facts/kiro-cli.md 6.2)."""
        session = self.session(params)
        session.model = str(params.get("modelId"))
        session.wrong_model = session.model not in surface.model_ids(self.personality)
        return {}

    def ready_to_prompt(self, session: Session) -> Failure | None:
        """A login and a model that exists."""
        if session.wrong_model:
            return Failure("model-unavailable", f"The model '{session.model}' is not available.")
        return super().ready_to_prompt(session)

    def command_options(self, request: Any, params: Json) -> Any:
        """`_kiro.dev/commands/options` (facts/kiro-wire.md 6)."""
        return options(self, self.session(params), str(params.get("command")))

    def command_execute(self, request: Any, params: Json) -> Any:
        """`_kiro.dev/commands/execute`; as a notification it is refused (facts/kiro-wire.md 6)."""
        if request is None:
            raise self.unknown("_kiro.dev/commands/execute")
        self.commands.execute(request, self.session(params), params.get("command"))
        return ANSWERED

    def list_sessions(self, request: Any, params: Json) -> Any:
        """`_kiro.dev/session/list`: a session without a prompt has no title (facts/kiro-wire.md 7)."""
        listed = []
        for side in store_v2.sides():
            if params.get("cwd") in (None, side["cwd"]):
                title = {"title": side["title"]} if "title" in side else {}
                stamp = str(side["updated_at"]).replace("Z", "+00:00")
                count = len(side["session_state"]["conversation_metadata"]["user_turn_metadatas"]) * 2
                head = {"sessionId": side["session_id"], "cwd": side["cwd"], **title}
                listed.append({**head, "updatedAt": stamp, "messageCount": count})
        return {"sessions": listed}

    def terminate(self, request: Any, params: Json) -> Any:
        """`_kiro.dev/session/terminate`: the lock goes; a child is terminated, then waits (facts/kiro-wire.md 7)."""
        session = self.session(params)
        session.end()
        del self.sessions[session.id]
        self.wire.answer(request, {})
        frames = self.frames(session)
        child = self.children.pop(session.id, None)
        if child is not None:
            for state in ("terminated", "awaitingInstruction"):
                frames.crew_once([*self.children.values(), {**child, "status": {"type": state}}])
        frames.crew_once(list(self.children.values()))
        return ANSWERED

    def steer(self, request: Any, params: Json) -> Any:
        """Queued for the next model call, also of the next turn (facts/kiro-wire.md 7)."""
        session, message = self.session(params), str(params.get("message", ""))
        self.wire.answer(request, {"queued": True})
        self.frames(session).own_update({"sessionUpdate": "steering_queued", "message": message})
        session.steering.append(message)
        return ANSWERED

    def steer_clear(self, request: Any, params: Json) -> Any:
        """Forget what is queued (facts/kiro-wire.md 7)."""
        session = self.session(params)
        session.steering.clear()
        self.wire.answer(request, {"cleared": True})
        self.frames(session).own_update({"sessionUpdate": "steering_cleared"})
        return ANSWERED

    def spawn_session(self, request: Any, params: Json) -> Any:
        """`_session/spawn`: the list first, then the result, then the child's turn (facts/kiro-wire.md 7)."""
        name = str(params.get("name") or "Lancelot")
        task = str(params.get("task", ""))
        child = self._child(self.session(params), name, task)
        self.wire.answer(request, {"sessionId": child.id, "name": name})
        self.run_turn(child, task, None, False)
        return ANSWERED

    def spawn(self, parent: Session, name: str, task: str) -> Session:
        """The same from a script."""
        child = self._child(parent, name, task)
        self.run_turn(child, task, None, False)
        return child

    def _child(self, parent: Session, name: str, task: str) -> Session:
        side = store_v2.new_side(parent.cwd, parent.agent, parent.model)
        side["parent_session_id"] = parent.id
        store = store_v2.V2Store(parent.cwd, parent.agent, parent.model, side)
        child = Session(store, parent.cwd, parent.agent, parent.model, parent.trust, parent=parent.id)
        self.sessions[child.id] = child
        frames = self.frames(parent)
        self.children[child.id] = frames.entry(child.id, name, task, "default", None)
        frames.crew(list(self.children.values()))
        return child

    def after_turn(self, turn: AcpTurn) -> None:
        """A child tells its parent and waits (facts/kiro-wire.md 7)."""
        session = turn.session
        if session.parent and session.id in self.children:
            inbox = {"sessionId": session.parent, "sessionName": "main", "messageCount": 1, "escalationCount": 0}
            self.wire.notify("_kiro.dev/session/inbox_notification", {**inbox, "senders": ["subagent"]})
            self.children[session.id]["status"] = {"type": "awaitingInstruction"}
            self.frames(session).crew(list(self.children.values()))
        super().after_turn(turn)

    def send_message(self, request: Any, params: Json) -> Any:
        """`_message/send`: an idle session starts a turn that nobody prompted (facts/kiro-wire.md 7); a busy one takes
        it at its next model call [L]."""
        session, content = self.session(params), str(params.get("content", ""))
        self.wire.answer(request, {"ok": True})
        if session.busy:
            session.steering.append(content)
        else:
            self.run_turn(session, content, None, False)
        return ANSWERED

    def mcp_trouble(self, session: Session) -> None:
        """One frame for each server."""
        for server in (surface.Server("broken", "failed", "exit code 1"), surface.Server("locked", "login")):
            self._server_frame(session, server)

    def answer_failed_prompt(self, request: Any, failure: Failure) -> None:
        """-32603 with the text in `data` (facts/kiro-wire.md 8)."""
        self.wire.refuse(request, RpcError(INTERNAL, "Internal error", self.error_data(failure)))

    def frames_after(self, session: Session, info: TurnInfo, stop_reason: str) -> None:
        """A metadata after a cancel or an error, else nothing (facts/kiro-wire.md 3, 8)."""
        if stop_reason in ("cancelled", "error"):
            self.frames(session).closing(info)
