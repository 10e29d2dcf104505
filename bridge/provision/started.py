"""What the running bridge was started with, so that a later start can tell whether it would start another one.

Invariant: a bridge of which nothing is known counts as another one. Secrets are part of a digest over everything and
stand nowhere by themselves.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import bridge
from bridge.coder import AGENT_TOKEN, AGENT_URL
from bridge.files import replace_file
from bridge.kiro.environment import API_KEY
from bridge.provision import agent, login, program
from bridge.provision.inputs import Inputs, Places

_OURS = "KIRO_BRIDGE_"
_CREDENTIALS = (API_KEY, AGENT_URL, AGENT_TOKEN)


@dataclass(frozen=True)
class Started:
    """A bridge that was started: the digest of what it was started with, and its port."""

    digest: str
    port: int


def read(places: Places) -> Started | None:
    """Return what the bridge of this module folder was started with, None when it is not known."""
    try:
        found = json.loads(_file(places).read_text(encoding="utf-8"))
        return Started(str(found["digest"]), int(found["port"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write(places: Places, started: Started) -> None:
    """Remember what the bridge is started with. Raises `OSError`."""
    replace_file(_file(places), json.dumps(asdict(started)).encode())


def digest(inputs: Inputs, places: Places, environ: Mapping[str, str], env: Mapping[str, str]) -> str:
    """Return the digest of all that a bridge keeps for as long as it runs.

    That is its program, its settings and credentials in its environment `env`, and what a long-lived process of Kiro's
    was started with: agent, login and kiro-cli. Which ledger it has is no part: that is decided anew at each start.
    """
    variables = {
        name: value
        for name, value in env.items()
        if (name.startswith(_OURS) and name != f"{_OURS}LEDGER") or name in _CREDENTIALS
    }
    kiro_cli = program.binary(inputs, places)
    parts = [
        str(Path(bridge.__file__).resolve().parent), sys.version, os.path.realpath(sys.executable), variables,
        agent.wanted_agent(inputs, environ).content, login.stamp(places), str(kiro_cli and kiro_cli.resolve()),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _file(places: Places) -> Path:
    return places.state / "started.json"
