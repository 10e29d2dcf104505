"""Fill the small disk that holds the given directory through a ledger, and check what is left. Run as a program."""

from __future__ import annotations

import sys
from pathlib import Path

from bridge.core.items import Item, ItemPut, TextAppended
from bridge.errors import LedgerFull
from bridge.ledger import Ledger


def fill(directory: Path) -> None:
    """Append until the disk is full, free space, go on, and compare with what was acknowledged."""
    ballast = directory / "ballast"
    ballast.write_bytes(b"x" * 200_000)
    ledger = Ledger.open(directory / "ledger.sqlite3")
    session, _ = ledger.create_session("/a")
    turn, _ = ledger.accept(session.id, "hello")
    ledger.apply(turn.id, [ItemPut(Item("m", "text", 1))])
    kept = 0
    try:
        while True:
            batch = [TextAppended("m", kept, "a" * 3000), TextAppended("m", kept + 3000, "b" * 3000)]
            ledger.apply(turn.id, batch)
            kept += 6000
    except LedgerFull as error:
        print(error.problem.code)
    before = ledger.last_seq()
    ballast.unlink()
    [event] = ledger.apply(turn.id, [TextAppended("m", kept, "end")])
    assert event.seq == before + 1
    ledger.close()
    ledger = Ledger.open(directory / "ledger.sqlite3")
    [_, stored] = ledger.turn_items(turn.id)
    assert kept and stored.item.text == ("a" * 3000 + "b" * 3000) * (kept // 6000) + "end"
    ledger.close()
    print("all kept")


if __name__ == "__main__":
    fill(Path(sys.argv[1]))
