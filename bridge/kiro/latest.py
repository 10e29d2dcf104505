"""Which conversation `--resume` would continue.

Invariant: asked only of a CLI that has no `--resume-id`; those run v1, which takes the newest row of the
folder (facts/kiro-cli.md 2) or the folder's only row in the older table.
"""

from __future__ import annotations

from pathlib import Path

from bridge.kiro import loose
from bridge.kiro.v1_database import Database, DatabaseTrouble

_WAIT_MS = 1000


def latest_v1_conversation(database: Path, cwd: str) -> str | None:
    """Return the id of the conversation that v1 would resume in the folder `cwd`, None when that cannot be
    told.
    """
    store = Database(database)
    try:
        store.ready(_WAIT_MS)
        store.find_tables()
        newest = store.newest(cwd, 1)
        if newest:
            return store.conversation_id(newest[0][0])
        legacy = store.legacy_value(cwd)
        return loose.name(loose.table(loose.parsed(legacy)).get("conversation_id")) if legacy else None
    except (DatabaseTrouble, loose.NotJson):
        return None
    finally:
        store.close()
