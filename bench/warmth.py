"""The second prompt of a session, with an agent that takes its time to start."""

from __future__ import annotations

import json
import time
from pathlib import Path

from bench.figures import Results
from bench.servers import ROOT, Bridge, Server, running
from bench.turns import STABLE
from bench.wire import Link, Stream

_FIRST_WORD = b"first word"


def measure(bridge: Bridge, home: Path, start_up: float, rounds: int, results: Results) -> None:
    """Send two prompts in each of `rounds` runs of the bridge; the agent is the stand-in, slow by `start_up` s."""
    for number in range(rounds):
        place = Path(f"{home}-{number}")
        place.mkdir()
        script = place / "script.json"
        script.write_text(json.dumps([[[{"text": f"{_FIRST_WORD.decode()} and more"}]]] * 2))
        environ = {
            "KIRO_CLI_PATH": str(ROOT / "standin" / "kiro-cli"),
            "KIRO_STANDIN_SCRIPT": str(script),
            "KIRO_STANDIN_START_DELAY": str(start_up),
            "KIRO_STANDIN_TOKEN_DELAY": "0",
        }
        with running(bridge, place, environ) as server:
            server.wait_stable()
            _prompt(server, "one")
            results.add(bridge.name, "second", _prompt(server, "two"))


def _prompt(server: Server, text: str) -> float:
    """Send a prompt; return the milliseconds until the first word of its answer, once its turn is over."""
    stream, link = Stream(server.url, "/events"), Link(server.url)
    try:
        stream.wait(STABLE)
        before = time.monotonic()
        link.post("/message", {"type": "user", "content": text})
        first = stream.wait(_FIRST_WORD)
        stream.wait(STABLE)
        return (first - before) * 1000
    finally:
        stream.close()
        link.close()
