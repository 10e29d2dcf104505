"""A process that writes a growing conversation into Kiro's database, one message after the other.

Arguments: database, journal mode, number of messages. It writes as fast as it can, several within one millisecond.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from tests.kiro.stores.writing import KiroDatabase, shell_result, v1_entry, v1_value


def main(path: Path, journal: str, count: int) -> None:
    """Write `count` versions of the row, each with one entry more; the last one is the answer."""
    database = KiroDatabase(path, journal)
    entries: list[Any] = []
    for number in range(count):
        tools = [(f"t{number}", "execute_bash", {"command": "ls"})] if number < count - 1 else None
        prompt = "ask" if number == 0 else None
        results = [shell_result(f"t{number - 1}", f"out {number - 1}")] if number else None
        entries.append(v1_entry(f"m{number}", f"text {number}", prompt=prompt, results=results, tools=tools, at=1))
        database.put(v1_value(*entries), time.time())
        if number % 7 == 0:
            database.touch()
    database.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
