"""Lists and removals of `chat`: sessions and models.

Invariant: the JSON shapes of facts/kiro-stores.md D.2; the plain texts are ours.
"""

from __future__ import annotations

import json
import os
from typing import Any

from standin import console, store_v1, store_v2, store_v3
from standin.arguments import Arguments
from standin.model import Json, iso_millis
from standin.personality import Personality

_MODELS = [("auto", "Chosen by task", 1_000_000, 1.0), ("standin-large", "A made-up model", 200_000, 2.2)]


def _print(value: Any, pretty: bool) -> None:
    console.out((json.dumps(value, indent=2, ensure_ascii=False) if pretty else console.dumps(value)) + "\n")


def _sessions(engine: str) -> list[Json]:
    """v3's sessions, or those of v1 and v2."""
    if engine == "v3":
        return store_v3.listing()
    listed = []
    for session in store_v1.listing() + store_v2.listing():
        if "updated_ms" in session:
            session["updated_at"] = iso_millis(session.pop("updated_ms"))
        listed.append(session)
    return listed


def list_sessions(arguments: Arguments, personality: Personality, engine: str) -> int:
    """`--list-sessions`, of this folder or with `--all-cwds` of all."""
    folders: dict[str, list[Json]] = {} if arguments.has("all-cwds") else {os.getcwd(): []}
    for session in sorted(_sessions(engine), key=lambda one: str(one["updated_at"]), reverse=True):
        cwd = session.pop("cwd")
        if cwd in folders or arguments.has("all-cwds"):
            session["updatedAt"] = session.pop("updated_at")
            folders.setdefault(cwd, []).append(session)
    form = arguments.values.get("format", "plain")
    if form != "plain" and personality.lists_sessions_as_json:
        envelopes = [{"cwd": cwd, "sessions": sessions, "complete": True} for cwd, sessions in folders.items()]
        _print(envelopes, form == "json-pretty")
        return 0
    write = console.err if personality.lists_sessions_on_stderr else console.out
    for cwd, sessions in folders.items():
        write(f"Chat sessions for {cwd}:\n" if sessions else f"No saved chat sessions for {cwd}\n")
        for session in sessions:
            write(f"\nChat SessionId: {session['sessionId']}\n  {session['updatedAt']} | {session['title']}\n")
    return 0


def list_models(arguments: Arguments) -> int:
    """`--list-models`."""
    form = arguments.values.get("format", "plain")
    names = ("model_name", "model_id", "description", "context_window_tokens", "rate_multiplier", "rate_unit")
    models = [
        dict(zip(names, (name, name, text, window, rate, "Credit"), strict=True))
        for name, text, window, rate in _MODELS
    ]
    if form == "plain":
        console.out(
            "".join(f"{model['model_id']}  {model['rate_multiplier']}x  {model['description']}\n" for model in models)
        )
    else:
        _print({"models": models, "default_model": "auto"}, form == "json-pretty")
    return 0


def delete_session(arguments: Arguments, engine: str) -> int:
    """`--delete-session`: from one store or all (facts/kiro-cli.md 5.1); an unknown id fails ([L])."""
    wanted = arguments.values["delete-session"]
    source = arguments.values.get("session-source")
    stores = {"v1": store_v1.delete, "v2": store_v2.delete, "v3": store_v3.delete}
    chosen = [source] if source else ["v3"] if engine == "v3" else ["v1", "v2"]
    deleted = [stores[name](wanted) for name in chosen]
    if any(deleted):
        console.out(f"Deleted session {wanted}\n")
        return 0
    console.err(f"error: No session found with id {wanted}\n")
    return 1
