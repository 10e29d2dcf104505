"""`/api/v1/sessions/<id>/files`."""

from __future__ import annotations

import dataclasses
import io
import os
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage, MultiDict

from bridge.core.items import Item
from bridge.core.records import Session, StoredItem
from bridge.web import file_routes, file_uploads

from .memory import NOW, PRIMARY, MemoryChat, make_app
from .memory_things import MemoryThings, conforming

BASE = f"/api/v1/sessions/{PRIMARY}/files"


class FolderChat(MemoryChat):
    """A service whose session is in a folder that is there."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def session(self, session_id: str) -> Session:
        """See `ChatService`."""
        return dataclasses.replace(super().session(session_id), cwd=str(self._folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The session's folder, with a secret beside it."""
    (tmp_path / "secret").write_text("s3cr3t")
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def chat(folder: Path) -> FolderChat:
    """A service in that folder."""
    return FolderChat(folder)


@pytest.fixture
def client(chat: FolderChat, tmp_path: Path) -> FlaskClient:
    """A client of the application."""
    app = conforming(make_app(chat, tmp_path / "uploads"))
    app.extensions["things"] = MemoryThings(chat, tmp_path)
    return app.test_client()


def sent(client: FlaskClient, *files: tuple[str, bytes], field: str = "files") -> tuple[int, Any]:
    """Upload files; returns code and body."""
    form = MultiDict([(field, FileStorage(io.BytesIO(data), name, content_type="text/plain")) for name, data in files])
    response = client.post(BASE, data=form)
    return response.status_code, response.json


def test_several_files_at_once(client: FlaskClient, folder: Path) -> None:
    (folder / "a.txt").write_text("mine")
    code, body = sent(client, ("a.txt", b"1"), ("../../b.txt", b"22"), ("a.txt", b"333"), ("-rf", b""))
    assert code == 200
    assert [(one["name"], one["path"], one["size"], one["ok"]) for one in body["files"]] == [
        ("a.txt", "a-1.txt", 1, True),
        ("../../b.txt", "b.txt", 2, True),
        ("a.txt", "a-2.txt", 3, True),
        ("-rf", "_-rf", 0, True),
    ]
    assert (folder / "a.txt").read_text() == "mine"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "a.txt": b"mine", "a-1.txt": b"1", "b.txt": b"22", "a-2.txt": b"333", "_-rf": b"",
    }  # fmt: skip


def test_one_that_is_too_large_takes_no_other_with_it(
    client: FlaskClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_uploads, "FILE_LIMIT", 100_000)
    code, body = sent(client, ("a", b"x" * 100_000), ("b", b"x" * 100_001), ("c", b"x"))
    assert (code, [one["ok"] for one in body["files"]]) == (200, [True, False, True])
    problem = body["files"][1]
    assert (problem["path"], problem["problem"]["code"]) == (None, "file_too_large")
    assert sorted(path.name for path in folder.iterdir()) == ["a", "c"]


def test_a_folder_that_is_gone_or_full_is_the_files_own_problem(
    client: FlaskClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.rmdir()
    _, body = sent(client, ("a", b"x"), ("b", b"y"))
    assert [one["problem"]["code"] for one in body["files"]] == ["no_such_file"] * 2
    folder.mkdir()

    def full(*_arguments: Any, **_more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    _, body = sent(client, ("a", b"x"))
    assert "no space left" in body["files"][0]["problem"]["cause"] and not list(folder.iterdir())


def test_forms_that_hold_no_file_are_refused(client: FlaskClient, folder: Path) -> None:
    assert sent(client, field="files")[0] == 422
    assert sent(client, ("a", b"x"), field="other")[0] == 422
    assert client.post(BASE, data=b"x", content_type="text/plain").status_code == 422
    assert client.post(BASE, data=b"--x\r\n", content_type="multipart/form-data; boundary=x").status_code == 422
    absurd = client.post(BASE, data=b"", content_type="multipart/form-data; boundary=x", content_length=1 << 40)
    assert absurd.status_code in (413, 422)
    assert not list(folder.iterdir())


def test_too_many_files(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_uploads, "FILES_MOST", 3)
    assert sent(client, *((f"{n}", b"x") for n in range(4)))[0] == 422


def test_a_form_that_breaks_off_keeps_what_was_whole(client: FlaskClient, folder: Path) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n'
    body = part % (b"a", b"whole") + part[:-2] % (b"b", b"half")
    response = client.post(BASE, data=body, content_type="multipart/form-data; boundary=x")
    assert response.status_code == 422
    assert [path.name for path in folder.iterdir()] == ["a"]


def touch(chat: FolderChat, number: int, **data: Any) -> None:
    """Add a tool call to the conversation."""
    chat.stored.append(
        StoredItem(number, PRIMARY, 1, Item(f"k{number}", "tool", number, "", data), NOW, NOW + number, number)
    )


def test_list(client: FlaskClient, chat: FolderChat, folder: Path) -> None:
    chat.submit("x")
    touch(chat, 1, kind="read", locations=[str(folder / "seen.py")])
    touch(chat, 2, kind="edit", locations=["made.xlsx"])
    touch(chat, 3, kind="read", locations=["/etc/passwd", "made.xlsx"])
    (folder / "made.xlsx").write_bytes(b"12345")
    sent(client, ("up.txt", b"x"))
    found = client.get(BASE).get_json()["files"]
    assert [(one["path"], one["touched"], one["size"], one["kind"]) for one in found] == [
        ("made.xlsx", ["read", "write"], 5, "table"),
        ("seen.py", ["read"], None, "code"),
        ("up.txt", ["upload"], 1, "text"),
    ]


def test_find(client: FlaskClient, folder: Path) -> None:
    (folder / "src").mkdir()
    (folder / "src/app.py").write_text("x")
    (folder / "apple.md").write_text("x")
    assert client.get(f"{BASE}/find?q=app").get_json()["paths"] == ["apple.md", "src/app.py"]
    assert client.get(f"{BASE}/find?q=app&limit=1").get_json()["paths"] == ["apple.md"]
    assert len(client.get(f"{BASE}/find").get_json()["paths"]) == 2
    for query in ("limit=0", "limit=x", f"limit={10**6}", "q=" + "x" * 300):
        assert client.get(f"{BASE}/find?{query}").status_code == 422


def test_preview(client: FlaskClient, folder: Path) -> None:
    (folder / "a.py").write_text("print(1)\n")
    body = client.get(f"{BASE}/preview?path=a.py").get_json()
    body.pop("$schema")
    assert body == {
        "path": "a.py", "kind": "code", "size": 9, "truncated": False, "text": "print(1)\n", "language": "python",
    }  # fmt: skip


@pytest.mark.parametrize("route", ["preview", "content"])
@pytest.mark.parametrize(
    ("path", "code", "kind"),
    [
        ("../secret", 403, "outside-folder"),
        ("/etc/passwd", 403, "outside-folder"),
        ("link", 403, "outside-folder"),
        ("%2e%2e%2fsecret", 403, "outside-folder"),
        ("missing", 404, "no-such-file"),
        ("a%00b", 422, "file-refused"),
        ("%ff", 404, "no-such-file"),
        ("fifo", 422, "not-a-file"),
        (".", 422, "not-a-file"),
        ("", 422, "file-refused"),
    ],
)
def test_refused_paths(client: FlaskClient, folder: Path, route: str, path: str, code: int, kind: str) -> None:
    (folder / "link").symlink_to("../secret")
    os.mkfifo(folder / "fifo")
    response = client.get(f"{BASE}/{route}?path={path}")
    assert (response.status_code, response.content_type) == (code, "application/problem+json")
    assert response.get_json()["type"] == f"urn:kiro-bridge:{kind}"
    assert b"s3cr3t" not in response.data


def test_a_path_is_needed(client: FlaskClient) -> None:
    assert client.get(f"{BASE}/preview").status_code == client.get(f"{BASE}/content").status_code == 422
    assert client.get(f"{BASE}/content?path={'x' * 5000}").status_code == 422
    assert client.get(f"{BASE}/content?path=a&download=maybe").status_code == 422
    assert client.get("/api/v1/sessions/none/files").status_code == 404


@pytest.mark.parametrize(
    ("name", "expected", "disposition"),
    [
        ("a.png", "image/png", "inline"),
        ("a.pdf", "application/pdf", "inline"),
        ("a.html", "text/plain; charset=utf-8", "inline"),
        ("a.svg", "text/plain; charset=utf-8", "inline"),
        ("a.js", "text/plain; charset=utf-8", "inline"),
        ("words", "text/plain; charset=utf-8", "inline"),
        ("a.xlsx", "application/octet-stream", "attachment"),
        ("a.swf", "text/plain; charset=utf-8", "inline"),
        ('ünï "q"\r.zip', "text/plain; charset=utf-8", "inline"),
    ],
)
def test_bytes_are_given_safely(client: FlaskClient, folder: Path, name: str, expected: str, disposition: str) -> None:
    (folder / name).write_bytes(b"<script>alert(1)</script>")
    response = client.get(f"{BASE}/content", query_string={"path": name})
    assert (response.status_code, response.data) == (200, b"<script>alert(1)</script>")
    assert response.content_type == expected
    assert response.headers["Content-Disposition"].startswith(f"{disposition}; filename*=UTF-8''")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and (name == "a.pdf") == ("sandbox" not in policy)
    saved = client.get(f"{BASE}/content", query_string={"path": name, "download": "true"})
    assert (saved.content_type, saved.data) == ("application/octet-stream", response.data)
    assert saved.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("asked", "code", "data"),
    [
        ("bytes=0-3", 206, b"0123"),
        ("bytes=4-", 206, b"456789"),
        ("bytes=-2", 206, b"89"),
        ("bytes=5-99", 206, b"56789"),
        ("bytes=20-30", 200, b"0123456789"),
        ("bytes=0-1,3-4", 200, b"0123456789"),
        ("lines=0-1", 200, b"0123456789"),
        ("nonsense", 200, b"0123456789"),
    ],
)
def test_ranges(client: FlaskClient, folder: Path, asked: str, code: int, data: bytes) -> None:
    (folder / "a.pdf").write_bytes(b"0123456789")
    response = client.get(f"{BASE}/content?path=a.pdf", headers={"Range": asked})
    assert (response.status_code, response.data) == (code, data)
    assert ("Content-Range" in response.headers) == (code == 206)


def test_a_large_file_is_sent_piece_by_piece(
    client: FlaskClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_routes, "WHOLE_LIMIT", 1000)
    (folder / "a.bin").write_bytes(os.urandom(1_000_000))
    for _ in range(2 * file_routes.LONG_DOWNLOADS):
        with client.get(f"{BASE}/content?path=a.bin") as response:
            assert "Content-Length" not in response.headers and response.data == (folder / "a.bin").read_bytes()


def test_only_some_large_files_are_sent_at_a_time(
    client: FlaskClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_routes, "WHOLE_LIMIT", 1000)
    (folder / "a.bin").write_bytes(bytes(2000))
    url = f"{BASE}/content?path=a.bin"
    with client.get(url), client.get(url), client.get(url):
        refused = client.get(url)
        assert (refused.status_code, refused.get_json()["type"]) == (503, "urn:kiro-bridge:busy")
    with client.get(url) as again:
        assert again.status_code == 200


def test_a_file_nobody_wants_to_wait_for(client: FlaskClient, folder: Path) -> None:
    (folder / "a.bin").touch()
    os.truncate(folder / "a.bin", file_routes.DOWNLOAD_LIMIT + 1)
    assert client.get(f"{BASE}/content?path=a.bin").status_code == 413
