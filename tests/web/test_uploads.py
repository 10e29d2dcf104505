"""`POST /upload` (contract 1.6, H14, H15, W18)."""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.web.uploads import UploadStore

BOUNDARY = "test-boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
MEGABYTES_10 = 10 * 1024 * 1024


def head(filename: str, content_type: str | None = "text/plain") -> bytes:
    """The header block of a file part."""
    lines = [f'Content-Disposition: form-data; name="file"; filename="{filename}"']
    lines += [f"Content-Type: {content_type}"] if content_type else []
    return "\r\n".join(lines).encode()


def form(*parts: tuple[bytes, bytes]) -> bytes:
    """A multipart body."""
    pieces = b"".join(b"--%s\r\n%s\r\n\r\n%s\r\n" % (BOUNDARY.encode(), part, data) for part, data in parts)
    return pieces + b"--%s--\r\n" % BOUNDARY.encode()


def send(client: FlaskClient, body: bytes, content_type: str | None = FORM) -> tuple[int, Any]:
    """POST a body; returns code and parsed reply."""
    stream = io.BytesIO(body)
    response = client.post("/upload", input_stream=stream, content_length=len(body), content_type=content_type)
    return response.status_code, response.json


def stored(client: FlaskClient, filename: str, data: bytes) -> Path:
    """Upload a file that must be taken; returns where it is."""
    code, found = send(client, form((head(filename), data)))
    assert (code, list(found)) == (200, ["$schema", "ok", "filePath"]), found
    return Path(found["filePath"])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a.txt", "a.txt"),
        ("/tmp/x/abs.txt", "abs.txt"),
        ("../../rel.txt", "rel.txt"),
        ("nested/p/f.txt", "f.txt"),
        ("nested/dir/", "dir"),
        (r"win\\style\\p.txt", r"win\style\p.txt"),
        ("my file (1).txt", "my file (1).txt"),
        ("ünï→.txt", "ünï→.txt"),
        ("100%00.txt", "100%00.txt"),
        ("...", "..."),
    ],
)
def test_names(client: FlaskClient, tmp_path: Path, sent: str, kept: str) -> None:
    """The last path element counts; the file is where it is said to be, for its owner only."""
    data = bytes(range(256))
    path = stored(client, sent, data)
    assert path == tmp_path / "uploads" / hashlib.sha256(data).hexdigest()[:16] / kept
    assert path.read_bytes() == data
    modes = [entry.stat().st_mode & 0o777 for entry in (path, path.parent, path.parent.parent)]
    assert modes == [0o600, 0o700, 0o700]


def test_encoded_name(client: FlaskClient) -> None:
    """`filename*` is decoded, and may not smuggle a control character in."""
    part = b"Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''%s\r\nContent-Type: text/plain"
    _, found = send(client, form((part % b"na%C3%AFve.txt", b"x")))
    assert found["filePath"].endswith("/naïve.txt")
    for name in (b"a%00b.txt", b"a%0Ab.txt", b"%7f"):
        code, found = send(client, form((part % name, b"x")))
        assert (code, found["errors"][0]["location"]) == (422, "file")


def test_same_bytes_same_place(client: FlaskClient) -> None:
    """The same file again is one file; another name or other bytes are another."""
    first, again = stored(client, "a.txt", b"one"), stored(client, "a.txt", b"one")
    assert first == again
    other_name, other_bytes = stored(client, "b.txt", b"one"), stored(client, "a.txt", b"two")
    assert len({first, other_name, other_bytes}) == 3
    assert [path.read_bytes() for path in (first, other_name, other_bytes)] == [b"one", b"one", b"two"]


def test_two_files_never_share_a_path(client: FlaskClient) -> None:
    """Where another file has the place that the start of the digest gives, a longer start is taken."""
    first = stored(client, "a.txt", b"one")
    first.write_bytes(b"as if its digest began the same")
    second = stored(client, "a.txt", b"one")
    assert second != first
    assert (first.read_bytes(), second.read_bytes()) == (b"as if its digest began the same", b"one")


@pytest.mark.parametrize("data", [b"", b"\r\n--test-boundar\r\n", b"\r\n--", b"\r" * 70_000, b"x" * MEGABYTES_10])
def test_contents(client: FlaskClient, data: bytes) -> None:
    """Every byte arrives, up to exactly 10 MiB; nothing else is left behind."""
    path = stored(client, "content.bin", data)
    assert path.read_bytes() == data
    assert not list(path.parent.parent.glob("incoming-*"))


@pytest.mark.parametrize("size", [MEGABYTES_10 + 1, 4 * MEGABYTES_10])
def test_too_large(client: FlaskClient, tmp_path: Path, size: int) -> None:
    """One byte more is 400, and nothing of it stays."""
    code, found = send(client, form((head("big.bin"), b"x" * size)))
    assert (code, found["title"], found["detail"]) == (400, "Bad Request", "file size exceeds 10MB limit")
    assert not list((tmp_path / "uploads").iterdir())


def test_an_absurd_length_is_not_read(client: FlaskClient) -> None:
    """A request that announces far too much is refused at once."""
    response = client.post("/upload", content_type=FORM, environ_overrides={"CONTENT_LENGTH": str(10**12)})
    assert response.status_code == 400


NOT_MULTIPART = "request Content-Type isn't multipart/form-data"
NO_BOUNDARY = "no multipart boundary param in Content-Type"
WHOLE = form((head("a.txt"), b"abc"))
FIELD = b'Content-Disposition: form-data; name="note"'


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        ("application/json", b"{}", NOT_MULTIPART),
        (None, WHOLE, NOT_MULTIPART),
        ("multipart/mixed; boundary=x", WHOLE, NOT_MULTIPART),
        ("multipart/form-data", WHOLE, NO_BOUNDARY),
        ('multipart/form-data; boundary=""', WHOLE, NO_BOUNDARY),
        (FORM, b"", "multipart: NextPart: EOF"),
        (FORM, WHOLE[:-20], "unexpected EOF"),
        (FORM, WHOLE[:40], "unexpected EOF"),
        (FORM, b"no boundary at all", "unexpected EOF"),
        (FORM, form((b"X-Other: 1", b"x")), "malformed MIME header"),
        (FORM, form((b'Content-Disposition: form-data; name="\xff"', b"x")), "malformed MIME header"),
        (FORM, b"x" * 1_000_000, "message too large"),
        (FORM, form(*[(FIELD, b"")] * 1001), "too many parts"),
    ],
)
def test_unreadable_forms(client: FlaskClient, content_type: str | None, body: bytes, message: str) -> None:
    """422 says what is wrong with the form."""
    code, found = send(client, body, content_type)
    assert (code, found["detail"]) == (422, "validation failed")
    assert found["errors"] == [{"message": f"cannot read multipart form: {message}", "location": "body"}]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "File required"),
        ([(FIELD, b"1")], "File required"),
        ([(head("a"), b"a"), (head("b"), b"b")], "Multiple files received but only one was expected"),
        ([(head("a", None), b"")], "Failed to infer file media type"),
        ([(b'Content-Disposition: form-data; name="file"', b"x")], "File name required"),
        ([(head(""), b"x")], "File name required"),
    ],
)
def test_wrong_files(client: FlaskClient, parts: list[tuple[bytes, bytes]], message: str) -> None:
    """Exactly one file, with a name."""
    code, found = send(client, form(*parts))
    assert (code, found["errors"]) == (422, [{"message": message, "location": "file"}])


def test_other_parts_are_ignored(client: FlaskClient) -> None:
    """Fields, and files under other names, do not matter."""
    other = head("other.txt").replace(b'name="file"', b'name="other"')
    code, found = send(client, form((FIELD, b"1"), (head("a.txt"), b"a"), (other, b"b"), (FIELD, b"2")))
    assert code == 200
    assert Path(found["filePath"]).read_bytes() == b"a"


@pytest.mark.parametrize(
    ("name", "reason"),
    [(".", "is a directory"), ("..", "is a directory"), ("/", "is a directory"), ("n" * 300, "file name too long")],
)
def test_impossible_names(client: FlaskClient, tmp_path: Path, name: str, reason: str) -> None:
    """A name that no file can have is a 500 in AgentAPI's words."""
    code, found = send(client, form((head(name), b"x")))
    (entry,) = found["errors"]
    assert (code, found["detail"], found["type"]) == (500, "unexpected error occurred", "urn:kiro-bridge:upload-failed")
    assert entry["message"].startswith("failed to write file: open ")
    assert entry["message"].endswith(reason)
    assert not [path for path in (tmp_path / "uploads").rglob("*") if path.is_file()]


def test_a_root_that_cannot_be_made(client: FlaskClient, tmp_path: Path) -> None:
    """An unusable directory is a 500 that says so."""
    (tmp_path / "uploads").write_text("in the way")
    code, found = send(client, WHOLE)
    assert (code, found["type"]) == (500, "urn:kiro-bridge:upload-failed")


def test_leftovers_are_cleared_at_start(tmp_path: Path) -> None:
    """What a killed bridge was receiving is removed by the next one; stored files stay."""
    (tmp_path / "incoming-x").write_bytes(b"half")
    kept = tmp_path / "0123456789abcdef" / "a.txt"
    kept.parent.mkdir()
    kept.write_bytes(b"whole")
    UploadStore(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]


def test_many_at_once(client: FlaskClient) -> None:
    """The same file from many sides at once ends up once, whole."""
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(stored(client, "a.txt", b"x" * 100_000))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 8
    assert set(paths) == {paths[0]}
    assert paths[0].read_bytes() == b"x" * 100_000


ROUGH = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ROUGH
@given(name=st.text(st.characters(codec="utf-8", exclude_characters='"\r\n'), min_size=1, max_size=40))
def test_any_name_stays_inside(client: FlaskClient, tmp_path: Path, name: str) -> None:
    """No name leads out of the directory or makes the server fail."""
    code, found = send(client, form((head(name), b"x")))
    assert code in (200, 422, 500)
    if code == 200:
        path = Path(found["filePath"])
        assert path.parent.parent == tmp_path / "uploads"
        assert path.read_bytes() == b"x"
    else:
        assert found["errors"][0]["message"]
        assert found.get("type") in (None, "urn:kiro-bridge:upload-failed")


@ROUGH
@given(
    pieces=st.lists(
        st.sampled_from(
            [b"--test-boundary", b"--", b"\r\n", b"\n", b"\r", head("a"), b"file", b":", b"\xff", b"x" * 9000, FIELD]
        )
        | st.binary(max_size=20),
        max_size=15,
    )
)
def test_any_form_gets_a_proper_answer(client: FlaskClient, pieces: list[bytes]) -> None:
    """No body makes the server fail."""
    assert send(client, b"".join(pieces))[0] in (200, 422)
