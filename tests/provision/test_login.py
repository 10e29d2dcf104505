"""The login gets in once, and takes nothing with it."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import os
import sqlite3
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.provision.inputs import Inputs, Places
from bridge.provision.login import log_in
from bridge.provision.packing import advice, pack_login, write_login
from bridge.provision.progress import ProvisionError
from bridge.provision.secrets import blot_out, tarball_text, without_login
from tests.provision.conftest import SECRET, Mirror, make_database, rows, tar_of, tokens, zstd


class Account:
    """A home whose login is brought in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.database = self.home / ".local/share/kiro-cli/data.sqlite3"
        self.env = {"HOME": str(self.home)}
        self.places = Places(self.home, self.home / "root")
        self._made = 0

    def tarball(self, token: str = SECRET, *, at: str = "./data.sqlite3", **more: Any) -> bytes:
        self._made += 1
        made = make_database(self.folder / f"made-{self._made}" / "data.sqlite3", token, **more)
        return tar_of((at, made.read_bytes()))

    def log_in(self, data: bytes = b"", **inputs: Any) -> None:
        env = {**self.env, **({"KIRO_CLI_AUTH_TARBALL": base64.b64encode(data).decode()} if data else {})}
        log_in(Inputs(workdir="/", **inputs), self.places, env)


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


@pytest.mark.parametrize("pack", [zstd, gzip.compress, bytes], ids=["zstd", "gzip", "plain"])
@pytest.mark.parametrize("at", ["./data.sqlite3", "kiro-cli/data.sqlite3", ".local/share/amazon-q/data.sqlite3"])
def test_login_is_moved_into_an_empty_home(account: Account, pack: Callable[[bytes], bytes], at: str) -> None:
    account.log_in(pack(account.tarball(at=at)))
    assert SECRET in tokens(account.database)
    assert stat.S_IMODE(account.database.stat().st_mode) == 0o600
    assert stat.S_IMODE(account.database.parent.stat().st_mode) == 0o700
    assert os.listdir(account.database.parent) == ["data.sqlite3"]


def test_conversations_stay(account: Account) -> None:
    make_database(account.database, "the old token", talks=3)
    account.log_in(account.tarball("the new token", talks=1, ends="2031-01-01T00:00:00Z"))
    assert "the new token" in tokens(account.database) and "old" not in tokens(account.database)
    assert rows(account.database, "SELECT count(*) FROM conversations_v2") == [(3,)]
    assert dict(rows(account.database, "SELECT key, value FROM state")) == {
        "api.codewhisperer.profile": "profile of the new token", "desktop.seen": "yes",
    }  # fmt: skip


def test_unchanged_tarball_touches_nothing(account: Account) -> None:
    data = account.tarball()
    account.log_in(data)
    with contextlib.closing(sqlite3.connect(account.database)) as connection, connection:
        connection.execute("UPDATE auth_kv SET value = 'refreshed since'")
    before = {path: path.stat().st_mtime_ns for path in account.home.rglob("*")}
    account.log_in(data)
    assert {path: path.stat().st_mtime_ns for path in account.home.rglob("*")} == before
    assert tokens(account.database) == "refreshed since"


def test_changed_tarball_is_taken_in(account: Account) -> None:
    account.log_in(account.tarball("one", ends="2035-01-01T00:00:00Z"))
    account.log_in(account.tarball("two"))
    assert "two" in tokens(account.database)


def test_newer_login_of_the_home_is_kept_at_the_first_time(account: Account) -> None:
    make_database(account.database, "refreshed here", ends="2031-06-01T00:00:00Z")
    account.log_in(account.tarball("stale copy", ends="2030-01-01T00:00:00Z"))
    assert "refreshed here" in tokens(account.database)


def test_lost_database_is_brought_back(account: Account) -> None:
    data = account.tarball()
    account.log_in(data)
    account.database.unlink()
    account.log_in(data)
    assert SECRET in tokens(account.database)


def test_write_ahead_log_is_brought_along(account: Account) -> None:
    made = make_database(account.folder / "wal" / "data.sqlite3", "before", journal="wal")
    with contextlib.closing(sqlite3.connect(made)) as connection:
        connection.execute("UPDATE auth_kv SET value = '{\"access_token\": \"in the log\"}'")
        connection.commit()
        log = made.with_name("data.sqlite3-wal").read_bytes()
        data = tar_of(("./data.sqlite3", made.read_bytes()), ("./data.sqlite3-wal", log))
    assert log
    account.log_in(data)
    assert "in the log" in tokens(account.database)


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_database_of_either_journal_is_merged(account: Account, journal: str) -> None:
    make_database(account.database, "old", journal=journal, talks=1)
    account.log_in(account.tarball("new", journal=journal, ends="2031-01-01T00:00:00Z"))
    assert "new" in tokens(account.database)


def test_empty_database_is_replaced(account: Account) -> None:
    account.database.parent.mkdir(parents=True)
    sqlite3.connect(account.database).close()
    account.log_in(account.tarball())
    assert SECRET in tokens(account.database)


def test_locked_database_is_told(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.provision.login_database._BUSY_SECONDS", 0.1)
    make_database(account.database)
    with contextlib.closing(sqlite3.connect(account.database)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ProvisionError) as refused:
            account.log_in(account.tarball("two"))
        connection.rollback()
    assert refused.value.problem.code == "login_busy"
    account.log_in(account.tarball("three", ends="2035-01-01T00:00:00Z"))
    assert "three" in tokens(account.database)


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


DATABASE = ("data.sqlite3", b"")


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (tar_of(("../data.sqlite3", b"x")), "outside"),
        (tar_of(("a/../../x", b"x"), DATABASE), "outside"),
        (tar_of(("/etc/data.sqlite3", b"x")), "outside"),
        (tar_of((special("data.sqlite3", tarfile.SYMTYPE, "/etc/passwd"), b"")), "link"),
        (tar_of((special("data.sqlite3", tarfile.LNKTYPE, "/etc/passwd"), b"")), "link"),
        (tar_of((special("data.sqlite3", tarfile.CHRTYPE), b"")), "neither"),
        (tar_of((special("data.sqlite3", tarfile.FIFOTYPE), b"")), "neither"),
        (tar_of(*[(f"file-{number}", b"") for number in range(10_001)]), "more than"),
    ],
)
def test_hostile_archive_is_refused(account: Account, data: bytes, word: str) -> None:
    with pytest.raises(ProvisionError) as refused:
        account.log_in(zstd(data))
    assert refused.value.problem.code == "login_refused" and word in refused.value.problem.cause
    assert os.listdir(account.database.parent) == []
    assert not (account.places.state / "login.sha256").exists()


def test_bomb_is_refused(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.provision.archive.MOST_BYTES", 1 << 20)
    bomb = zstd(tar_of(("./data.sqlite3", bytes(3 << 20))))
    assert len(bomb) < 10_000
    with pytest.raises(ProvisionError) as refused:
        account.log_in(bomb)
    assert refused.value.problem.code == "login_refused"


def test_bomb_in_a_header_is_refused(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.provision.archive.MOST_BYTES", 1 << 20)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as made:
        entry = tarfile.TarInfo("data.sqlite3")
        entry.pax_headers = {"comment": "x" * (30 << 20)}
        made.addfile(entry)
    with pytest.raises(ProvisionError):
        account.log_in(zstd(buffer.getvalue()))


def unusable(account: Account) -> dict[str, bytes]:
    good = account.tarball()
    nobody = make_database(account.folder / "nobody" / "data.sqlite3")
    with contextlib.closing(sqlite3.connect(nobody)) as connection, connection:
        connection.execute("DELETE FROM auth_kv")
    return {
        "login_unreadable half": zstd(good)[: len(zstd(good)) // 2],
        "login_unreadable text": b"not a tarball",
        "login_unreadable empty": tar_of(("other", b"x")),
        "login_unreadable gzip": gzip.compress(good)[:200],
        "login_unusable noise": tar_of(("data.sqlite3", b"noise" * 100)),
        "login_unusable nobody": tar_of(("data.sqlite3", nobody.read_bytes())),
    }


@pytest.mark.parametrize(
    "case", ["unreadable half", "unreadable text", "unreadable empty", "unreadable gzip", "unusable noise",
             "unusable nobody"],
)  # fmt: skip
def test_damaged_archive_is_refused_and_the_old_login_stays(account: Account, case: str) -> None:
    make_database(account.database, "the old token")
    with pytest.raises(ProvisionError) as refused:
        account.log_in(unusable(account)[f"login_{case}"])
    assert refused.value.problem.code == f"login_{case.split()[0]}"
    assert SECRET not in str(refused.value)
    assert "the old token" in tokens(account.database)


def test_text_may_be_wrapped_and_in_parts(account: Account) -> None:
    text = base64.encodebytes(zstd(account.tarball())).decode()
    env = {**account.env, "KIRO_CLI_AUTH_TARBALL_2": text[50:90], "KIRO_CLI_AUTH_TARBALL": text[:50]}
    env |= {"KIRO_CLI_AUTH_TARBALL_10": text[120:], "KIRO_CLI_AUTH_TARBALL_3": text[90:120]}
    assert tarball_text(env) == text
    log_in(Inputs(workdir="/"), account.places, env)
    assert SECRET in tokens(account.database)


def test_text_that_is_no_base64_is_refused_without_showing_it(account: Account) -> None:
    with pytest.raises(ProvisionError) as refused:
        log_in(Inputs(workdir="/"), account.places, {**account.env, "KIRO_CLI_AUTH_TARBALL": f"%%{SECRET}"})
    assert refused.value.problem.code == "login_unreadable" and SECRET not in str(refused.value)


@pytest.mark.parametrize("form", ["file", "file in base64", "address"])
def test_tarball_may_be_named(account: Account, mirror: Mirror, form: str) -> None:
    data = zstd(account.tarball())
    where = account.home / "login.tar.zst"
    where.write_bytes(base64.encodebytes(data) if "base64" in form else data)
    mirror.files["/login"] = data
    account.log_in(auth_tarball_path=f"{mirror.url}/login" if form == "address" else "~/login.tar.zst")
    assert SECRET in tokens(account.database)


def test_missing_tarball_is_told(account: Account) -> None:
    with pytest.raises(ProvisionError) as refused:
        account.log_in(auth_tarball_path="/nowhere/at/all")
    assert "auth_tarball_path" in refused.value.problem.remedy


def test_api_key_needs_no_tarball(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    account.env["KIRO_API_KEY"] = SECRET
    account.log_in()
    said = capsys.readouterr().out
    assert "KIRO_API_KEY" in said and SECRET not in said and not account.database.exists()


def test_of_a_whole_data_folder_only_the_database_is_taken(account: Account) -> None:
    made = [make_database(account.folder / name / "d", f"token of {name}").read_bytes() for name in ("old", "new")]
    account.log_in(zstd(tar_of(
        ("./amazon-q/data.sqlite3", made[0]), ("./kiro-cli/bun", b"x" * 5000), ("./kiro-cli/data.sqlite3", made[1]),
        ("./kiro-cli/kas/data.sqlite3", b"something else"),
    )))  # fmt: skip
    assert os.listdir(account.database.parent) == ["data.sqlite3"]
    assert "token of new" in tokens(account.database)


def test_packed_login_holds_the_login_alone(account: Account, tmp_path: Path) -> None:
    make_database(account.database, talks=5)
    text = pack_login(None, account.env)
    (tmp_path / "other").mkdir()
    other = Account(tmp_path / "other")
    log_in(Inputs(workdir="/"), other.places, {**other.env, "KIRO_CLI_AUTH_TARBALL": text})
    assert SECRET in tokens(other.database)
    assert rows(other.database, "SELECT count(*) FROM conversations_v2") == [(0,)]
    assert rows(other.database, "SELECT version FROM migrations") == [(9,)]
    assert rows(other.database, "SELECT key FROM state") == [("api.codewhisperer.profile",)]
    assert rows(account.database, "SELECT count(*) FROM conversations_v2") == [(5,)]
    assert len(text) < 8000


def test_packed_login_is_written_for_its_owner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "login"
    write_login("dGV4dA==", output)
    assert stat.S_IMODE(output.stat().st_mode) == 0o600 and "secret" in capsys.readouterr().err
    write_login("dGV4dA==", None)
    assert capsys.readouterr().out == "dGV4dA==\n"
    assert "auth_tarball_path" in advice("x" * 524_001, None)[-1]
    assert "auth_tarball_path" not in advice("x" * 524_000, None)[-1]


def test_nothing_to_pack_is_told(account: Account) -> None:
    with pytest.raises(ProvisionError) as refused:
        pack_login(None, account.env)
    assert refused.value.problem.code == "no_login"


def test_secrets_are_kept_out_of_what_others_see() -> None:
    env = {"KIRO_CLI_AUTH_TARBALL": "tarball", "KIRO_CLI_AUTH_TARBALL_2": "second part", "KIRO_API_KEY": "key-key",
           "PATH": "/usr/bin", "KIRO_CLI_AUTH_TARBALL_PATH": "/p"}  # fmt: skip
    assert without_login(env) == {"KIRO_API_KEY": "key-key", "PATH": "/usr/bin", "KIRO_CLI_AUTH_TARBALL_PATH": "/p"}
    assert blot_out("key-key and tarball in /usr/bin", env) == "[hidden] and [hidden] in /usr/bin"
