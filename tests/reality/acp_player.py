"""Plays the agent's side of a recorded ACP conversation, as a kiro-cli would: run as `acp_player.py RECORDING WAY`.

The client's own calls are answered with what was recorded for the same method; requests of the agent's wait for their
answer, as they did in reality. What was recorded for calls that our client does not make is left out. WAY is `frames`
(a write for each), `burst` (one write up to where an answer is waited for) or `pieces` (cut anywhere).
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path
from typing import Any

Frame = dict[str, Any]
OPENERS = ("session/new", "session/load")


class Recording:
    """A recording in parts: what answers the opening call, and what came of each prompt."""

    def __init__(self, path: Path) -> None:
        self.initialized: Frame = {"protocolVersion": 1, "agentCapabilities": {"loadSession": True}, "authMethods": []}
        self.opening: list[Frame] = []
        self.opened: Frame = {}
        self.turns: list[list[Frame]] = []
        self.loads = ""
        self.session = ""
        self._calls: dict[Any, str] = {}
        self._prompts: dict[Any, int] = {}
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if line["from"] == "client":
                self._client(line["frame"])
            else:
                self._agent(line["frame"])
        self._session_of_agent_only(lines)

    def _client(self, frame: Frame) -> None:
        method = frame.get("method")
        if method is None or "id" not in frame:
            return
        self._calls[frame["id"]] = method
        if method in OPENERS and not self.turns:
            self.loads = frame["params"]["sessionId"] if method == "session/load" else ""
            self.opening = []
        elif method == "session/prompt":
            session = frame["params"]["sessionId"]
            if not self.session or session == self.session:
                self.session = session
                self._prompts[frame["id"]] = len(self.turns)
                self.turns.append([])

    def _agent(self, frame: Frame) -> None:
        if "method" in frame:
            if frame["method"] != "_kiro/auth/getAccessToken":
                (self.turns[-1] if self.turns else self.opening).append(frame)
            return
        method = self._calls.pop(frame.get("id"), "")
        if method == "initialize" and "result" in frame:
            self.initialized = frame["result"]
        elif method in OPENERS and not self.turns and "result" in frame:
            self.opened = frame["result"]
            self.opening.append({"opened": True})
        elif method == "session/prompt" and frame["id"] in self._prompts:
            turn = self._prompts.pop(frame["id"])
            self.turns[turn].append({"ended": frame.get("result"), "error": frame.get("error")})

    def _session_of_agent_only(self, lines: list[Frame]) -> None:
        """Recordings without the client's side: all is one turn, in the session that is spoken of first."""
        if self.turns or any(line["from"] == "client" for line in lines):
            return
        first = next(f["params"]["sessionId"] for f in self.opening if "sessionId" in f.get("params", {}))
        results = [line["frame"]["result"] for line in lines if "result" in line["frame"]]
        self.session = first
        self.initialized = next((one for one in results if "agentCapabilities" in one), self.initialized)
        self.opened = next((one for one in results if one.get("sessionId") == first), {"sessionId": first})
        reason = next((one for one in results if "stopReason" in one), {"stopReason": "end_turn"})
        ended: Frame = {"ended": reason, "error": None}
        self.turns, self.opening = [[*self.opening, ended]], [{"opened": True}]


class Player:
    """Writes frames in its way, and reads the client's."""

    def __init__(self, recording: Recording, way: str) -> None:
        self.recording = recording
        self.way = way
        self.held = b""
        self.random = random.Random(len(recording.turns))
        self.waiting: list[Frame] = []

    def write(self, frame: Frame) -> None:
        self.held += json.dumps({"jsonrpc": "2.0", **frame}, separators=(",", ":")).encode() + b"\n"
        if self.way == "frames":
            self.flush()

    def flush(self) -> None:
        data, self.held = self.held, b""
        while data:
            size = self.random.randrange(1, 4000) if self.way == "pieces" else len(data)
            os.write(1, data[:size])
            data = data[size:]

    def read(self) -> Frame:
        self.flush()
        line = sys.stdin.readline()
        if not line:
            sys.exit(0)
        frame: Frame = json.loads(line)
        return frame

    def request(self, frame: Frame) -> None:
        """Ask, and wait for the answer; what else the client says meanwhile is kept."""
        self.write(frame)
        while True:
            said = self.read()
            if said.get("id") == frame["id"] and "method" not in said:
                self.log(frame, said)
                return
            if said.get("method") == "session/cancel":
                self.waiting.insert(0, said)
                return
            self.waiting.append(said)

    def log(self, frame: Frame, said: Frame) -> None:
        with open(os.environ["PLAYER_LOG"], "a") as file:
            file.write(json.dumps({"asked": frame, "answer": said}) + "\n")

    def play(self, frames: list[Frame], number: Any) -> None:
        ended = False
        for frame in frames:
            if frame.get("opened"):
                self.write({"id": number, "result": self.recording.opened})
            elif "ended" in frame:
                ended = True
                body = {"error": frame["error"]} if frame["error"] else {"result": frame["ended"]}
                self.write({"id": number, **body})
            elif "id" in frame:
                self.request(frame)
            else:
                self.write({key: frame[key] for key in ("method", "params") if key in frame})
        if not ended and not any("opened" in frame for frame in frames):
            while self.read().get("method") != "session/cancel":
                pass
            self.write({"id": number, "result": {"stopReason": "cancelled"}})

    def run(self) -> None:
        turns = iter(self.recording.turns)
        while True:
            call = self.waiting.pop(0) if self.waiting else self.read()
            method, number = call.get("method"), call.get("id")
            if method == "initialize":
                self.write({"id": number, "result": self.recording.initialized})
            elif method in OPENERS:
                self.play(self.recording.opening or [{"opened": True}], number)
            elif method == "session/prompt":
                self.play(next(turns, [{"ended": {"stopReason": "end_turn"}, "error": None}]), number)
            elif method is not None and number is not None:
                self.write({"id": number, "result": {}})


if __name__ == "__main__":
    Player(Recording(Path(sys.argv[1])), sys.argv[2]).run()
