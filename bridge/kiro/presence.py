"""Whether Kiro still has a conversation, asked before it is told to continue it.

Invariant: "gone" is said only when the store was read and does not hold it: databases are recreated and sessions
cleaned up (facts/kiro-cli.md 2), and kiro-cli answers an unknown id in a way of its own in each version
(facts/kiro-stores.md A.8).
"""

from __future__ import annotations

from bridge.core.feed import Engine
from bridge.kiro.latest import latest_v1_conversation
from bridge.kiro.session_files import is_session_id
from bridge.kiro.stores import StoreLocations
from bridge.kiro.v1_database import Database, DatabaseTrouble

CONVERSATION_LOST = "Kiro no longer has the earlier conversation. A new one was started, without what was said before."
_WAIT_MS = 1000


def is_gone(engine: Engine, locations: StoreLocations, kiro_id: str, cwd: str) -> bool:
    """Return whether the store of `engine` certainly no longer holds the conversation `kiro_id`, begun in `cwd`."""
    if engine == "v1":
        return _gone_from_database(locations, kiro_id, cwd)
    if not is_session_id(kiro_id):
        return True
    try:
        if engine == "v2":
            return not any((locations.v2_sessions / f"{kiro_id}{end}").exists() for end in (".jsonl", ".json"))
        return not any((shelf / kiro_id).exists() for shelf in locations.v3_sessions.iterdir())
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _gone_from_database(locations: StoreLocations, kiro_id: str, cwd: str) -> bool:
    store = Database(locations.database)
    try:
        store.ready(_WAIT_MS)
        store.find_tables()
        if store.place(cwd, kiro_id) is not None:
            return False
    except DatabaseTrouble as trouble:
        return trouble.condition == "missing"
    finally:
        store.close()
    return latest_v1_conversation(locations.database, cwd) != kiro_id
