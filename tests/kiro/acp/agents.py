"""Small ACP agents that do one thing wrong, or one after the other what they are told."""

from __future__ import annotations

from pathlib import Path

from ..runner.helptexts import help_text
from ..runner.scripts import program

ACP_HELP = """Usage: kiro-cli acp [OPTIONS]

Options:
      --agent <AGENT>
      --model <MODEL>
      --agent-engine <ENGINE>
          [possible values: v1, v2, v3]
"""

_PRELUDE = """
import json, os, signal, sys, time, subprocess
HERE = {folder!r}
if sys.argv[1:] == ["--version"]:
    print("kiro-cli {version}"); sys.exit()
if sys.argv[1:] == ["chat", "--help"]:
    sys.stdout.write(open(HERE + "/chat-help.txt").read()); sys.exit()
if sys.argv[1:] == ["acp", "--help"]:
    sys.stdout.write(open(HERE + "/acp-help.txt").read()); sys.exit()
if sys.argv[1] == "whoami":
    print(json.dumps({{"accountType": "BuilderId", "email": "dev@example.com"}})); sys.exit()

def send(**frame):
    sys.stdout.write(json.dumps({{"jsonrpc": "2.0", **frame}}) + "\\n"); sys.stdout.flush()

def update(session, **body):
    send(method="session/update", params={{"sessionId": session, "update": body}})

def say(session, text):
    update(session, sessionUpdate="agent_message_chunk", content={{"type": "text", "text": text}})

def calls():
    for line in sys.stdin:
        yield json.loads(line)

INITIALIZED = {{"protocolVersion": 1, "agentCapabilities": {{"loadSession": True}}, "authMethods": []}}
with open(HERE + "/starts", "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
"""


def agent(folder: Path, body: str, version: str = "2.28.0", help_of_acp: str = ACP_HELP) -> Path:
    """Write a kiro-cli whose `acp` is `body`: Python that has `calls`, `send`, `update` and `say`."""
    folder.mkdir(exist_ok=True)
    (folder / "chat-help.txt").write_text(help_text(version))
    (folder / "acp-help.txt").write_text(help_of_acp)
    return program(folder / "kiro-cli", _PRELUDE.format(folder=str(folder), version=version) + body)


ORDINARY = """
for call in calls():
    method, number, params = call.get("method"), call.get("id"), call.get("params", {})
    if method == "initialize":
        send(id=number, result=INITIALIZED)
    elif method == "session/new":
        send(id=number, result={"sessionId": "11111111-1111-1111-1111-111111111111"})
    elif method == "session/load":
        send(id=number, result={})
    elif method == "session/prompt":
        PROMPT
    elif method is None:
        ANSWERED
"""


def ordinary(prompt: str, answered: str = "pass") -> str:
    """The body of an agent that behaves but for what it does with a prompt, and with answers to its own requests."""
    return ORDINARY.replace("PROMPT", prompt.replace("\n", "\n        ")).replace(
        "ANSWERED", answered.replace("\n", "\n        ")
    )


DONE = 'send(id=number, result={"stopReason": "end_turn"})'
