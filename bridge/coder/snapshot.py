"""The last messages for Coder to show while the workspace is stopped (facts/coder-platform.md 3.6)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from bridge.coder.agent_api import AgentApi, CoderError, as_json
from bridge.core.text import cut_bytes

BODY_BYTES = 64 * 1024
MOST_MESSAGES = 30
_CUT = "\n\n[The rest is in the workspace.]"
_FIELDS = ("id", "content", "role", "time")


def send(
    messages: Sequence[Mapping[str, Any]], *, agent_url: str, token: str, task_id: str, timeout: float = 10.0
) -> bool:
    """Give Coder the last of `messages`, which are as `GET /messages` answers them, oldest first.

    Returns whether Coder keeps them: False where it has no place for them (before 2.30, without Tasks, or the task is
    gone). Each wait takes at most `timeout` seconds. Raises CoderError, and CoderUnreachable when there is no answer.
    """
    try:
        task = uuid.UUID(task_id)
    except ValueError:
        raise CoderError(f"{task_id!r} is no task id.", "Coder gives the id in CODER_TASK_ID.") from None
    api = AgentApi(agent_url, token)
    code = api.request("POST", f"tasks/{task}/log-snapshot?format=agentapi", body(messages), timeout)
    if code not in (204, 404):
        raise CoderError(
            f"Coder refused the log snapshot with HTTP {code}.",
            "The conversation is kept in the workspace; Coder shows its log again once the workspace runs.",
        )
    return code == 204


def body(messages: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the request's body, at most `BODY_BYTES` long: the last messages, the last of them cut if it must be."""
    kept = [{name: message[name] for name in _FIELDS} for message in messages[-MOST_MESSAGES:]]
    while len(data := as_json({"messages": kept})) > BODY_BYTES and len(kept) > 1:
        del kept[0]
    room = BODY_BYTES
    while len(data) > BODY_BYTES:
        room -= max(1024, room // 8)
        last = {**kept[0], "content": cut_bytes(str(messages[-1]["content"]), room, _CUT)}
        data = as_json({"messages": [last]})
    return data
