"""The search index over what was said.

Invariant: an item stands in `indexed` if and only if the text it has now is in the index, so that it can be taken out
again. Writing a turn costs one row; the texts are taken into the index afterwards, a piece at a time, newest first.
"""

from __future__ import annotations

import re
import sqlite3
from itertools import islice

from bridge.core.records import Found
from bridge.errors import RequestRefused

BEGIN, END = "\ue000", "\ue001"
"""What stands around what was found."""

_PIECE = 100
_WORDS = 16
_WORD = re.compile(r"\w")
_SNIPPET_TOKENS = 24
_INDEXED_KINDS = "('prompt', 'text', 'tool')"


def prepare(connection: sqlite3.Connection) -> bool:
    """Make the index if there is none; return whether this SQLite can search at all. Takes no time."""
    if connection.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone() is None:
        return False
    connection.execute(
        "CREATE VIRTUAL TABLE IF NOT EXISTS item_search USING fts5(text, content = 'search_texts',"
        " content_rowid = 'id', columnsize = 0, tokenize = 'unicode61 remove_diacritics 2')"
    )
    return True


def mark(connection: sqlite3.Connection, turn_id: int) -> None:
    """Note that the turn has items to be taken in."""
    connection.execute("INSERT OR IGNORE INTO to_index VALUES (?)", (turn_id,))


def forget(connection: sqlite3.Connection, item_id: int) -> None:
    """Take an item out of the index, if it is in there, before its text changes."""
    if connection.execute("SELECT 1 FROM indexed WHERE item_id = ?", (item_id,)).fetchone() is None:
        return
    connection.execute(
        "INSERT INTO item_search (item_search, rowid, text) SELECT 'delete', id, text FROM search_texts WHERE id = ?",
        (item_id,),
    )
    connection.execute("DELETE FROM indexed WHERE item_id = ?", (item_id,))


def index_piece(connection: sqlite3.Connection) -> bool:
    """Take the next items in, at most a hundred, those of the newest turns first; return whether there are more."""
    room = _PIECE
    while room > 0:
        turn_id = connection.execute("SELECT max(turn_id) FROM to_index").fetchone()[0]
        if turn_id is None:
            return False
        room -= _index_turn(connection, turn_id, room) + 1
    return True


def _index_turn(connection: sqlite3.Connection, turn_id: int, most: int) -> int:
    """Take in what the index lacks of a turn, at most `most` items; return how many those were."""
    found = connection.execute(
        "SELECT i.id FROM turns t CROSS JOIN items i ON i.session_num = t.session_num AND i.turn_id = t.id"
        " WHERE t.id = ? AND i.key IS NOT NULL AND (i.final OR t.ended_at IS NOT NULL) AND i.text != ''"
        f" AND i.kind IN {_INDEXED_KINDS} AND NOT EXISTS (SELECT 1 FROM indexed WHERE item_id = i.id) LIMIT ?",
        (turn_id, most),
    ).fetchall()
    numbers = [(row[0],) for row in found]
    connection.executemany(
        "INSERT INTO item_search (rowid, text) SELECT id, text FROM search_texts WHERE id = ?", numbers
    )
    connection.executemany("INSERT INTO indexed VALUES (?)", numbers)
    if len(found) < most:
        connection.execute("DELETE FROM to_index WHERE turn_id = ?", (turn_id,))
    return len(found)


def words_of(query: str) -> list[str]:
    """Return the words of a query, at most 16."""
    return [word for word in query.replace("\0", " ").split() if _WORD.search(word)][:_WORDS]


def find(connection: sqlite3.Connection, query: str, limit: int) -> list[Found]:
    """Return the places where all words of `query` stand, or words that begin so: titles first, then the newest."""
    words = words_of(query)
    if not words:
        return []
    found = _in_titles(connection, [word.casefold() for word in words], limit)
    asked = " ".join('"' + word.replace('"', '""') + '"*' for word in words)
    try:
        rows = connection.execute(
            "SELECT s.id, s.title, i.id, i.turn_id, snippet(item_search, 0, ?, ?, '…', ?), i.created_at"
            " FROM item_search f JOIN items i ON i.id = f.rowid JOIN sessions s ON s.num = i.session_num"
            " WHERE item_search MATCH ? AND NOT s.deleted ORDER BY f.rowid DESC LIMIT ?",
            (BEGIN, END, _SNIPPET_TOKENS, asked, limit - len(found)),
        ).fetchall()
    except sqlite3.OperationalError as error:
        if "no such" not in str(error):
            raise
        raise RequestRefused(
            "This Python's SQLite was built without FTS5, so nothing can be searched.",
            "Run the bridge with a Python whose sqlite3 has it.",
            code="search_unavailable",
        ) from None
    return found + [Found(row[0], row[1], row[2], row[3], _well_marked(row[4]), row[5]) for row in rows]


def _in_titles(connection: sqlite3.Connection, words: list[str], limit: int) -> list[Found]:
    titles = connection.execute(
        "SELECT id, title, updated_at FROM sessions WHERE NOT deleted AND title != '' ORDER BY updated_at DESC"
    )
    hits = (row for row in titles if all(word in row["title"].casefold() for word in words))
    first = islice(hits, limit)
    return [Found(row["id"], row["title"], None, None, row["title"], row["updated_at"]) for row in first]


def _well_marked(snippet: str) -> str:
    """Return a snippet whose marks come in pairs; where the text itself has such characters, without any."""
    marks = [character for character in snippet if character in (BEGIN, END)]
    if all(mark == (BEGIN, END)[place % 2] for place, mark in enumerate(marks)) and len(marks) % 2 == 0:
        return snippet
    return snippet.replace(BEGIN, "").replace(END, "")
