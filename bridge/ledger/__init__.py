"""The bridge's own SQLite file: sessions, turns, items and events. The only writer of it.

Invariant: what a method returned is stored; what it raised for left no trace. One process owns a ledger at a
time.
"""

from __future__ import annotations

from bridge.ledger.imports import ImportedMessage, ImportedTurn
from bridge.ledger.ledger import Ledger

__all__ = ["ImportedMessage", "ImportedTurn", "Ledger"]
