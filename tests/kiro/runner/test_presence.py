"""A conversation is gone only when the store was read and does not hold it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bridge.kiro.presence import is_gone
from bridge.kiro.stores import StoreLocations

ID = "6f0c1d2e-0000-4000-8000-000000000001"


@pytest.fixture
def places(tmp_path: Path) -> StoreLocations:
    return StoreLocations(tmp_path / "data.sqlite3", tmp_path / "cli", tmp_path / "sessions")


def database(places: StoreLocations, *statements: str) -> None:
    with closing(sqlite3.connect(places.database)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


V2_TABLE = (
    "CREATE TABLE conversations_v2 (key TEXT, conversation_id TEXT, value TEXT, created_at INTEGER,"
    " updated_at INTEGER, PRIMARY KEY (key, conversation_id))"
)


def test_stores_that_are_not_there_hold_nothing(places: StoreLocations) -> None:
    assert is_gone("v1", places, ID, "/w") and is_gone("v2", places, ID, "/w") and is_gone("v3", places, ID, "/w")


def test_v1_finds_a_row_under_any_folder(places: StoreLocations) -> None:
    database(places, V2_TABLE, f"INSERT INTO conversations_v2 VALUES ('/elsewhere', '{ID}', '{{}}', 1, 1)")
    assert not is_gone("v1", places, ID, "/w")
    assert is_gone("v1", places, "another", "/w")


def test_v1_looks_into_the_older_table_too(places: StoreLocations) -> None:
    row = f"INSERT INTO conversations VALUES ('/w', '{{\"conversation_id\": \"{ID}\"}}')"
    database(places, "CREATE TABLE conversations (key TEXT PRIMARY KEY, value TEXT)", row)
    assert not is_gone("v1", places, ID, "/w")
    assert is_gone("v1", places, ID, "/elsewhere")


def test_a_locked_database_says_nothing(places: StoreLocations, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.kiro.presence._WAIT_MS", 10)
    database(places, V2_TABLE)
    with closing(sqlite3.connect(places.database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert not is_gone("v1", places, ID, "/w")


def test_v2_and_v3_look_for_files(places: StoreLocations) -> None:
    places.v2_sessions.mkdir()
    (places.v3_sessions / "0123456789abcdef" / f"sess_{ID}").mkdir(parents=True)
    assert is_gone("v2", places, ID, "/w") and not is_gone("v3", places, f"sess_{ID}", "/w")
    (places.v2_sessions / f"{ID}.jsonl").touch()
    assert not is_gone("v2", places, ID, "/w") and is_gone("v3", places, "sess_other", "/w")


@pytest.mark.parametrize("name", ["../x", "", "a/b"])
def test_an_id_that_could_lead_out_of_the_folder_is_no_id(places: StoreLocations, name: str) -> None:
    places.v2_sessions.mkdir()
    assert is_gone("v2", places, name, "/w")
