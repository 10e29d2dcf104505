"""Section 1.6: POST /upload, every row; H14 and H15."""

from __future__ import annotations

from pathlib import Path

import pytest

from .servers import JSON_TYPE, Server, Workshop
from .wire import HeaderList, Reply, multipart, raw_exchange, request_bytes

BOUNDARY = "contract-boundary"
FORM = ("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
MEGABYTES_10 = 10 * 1024 * 1024
JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")


def file_head(filename: str, *, content_type: str | None = "application/octet-stream") -> str:
    """The header block of a ``file`` part."""
    head = f'Content-Disposition: form-data; name="file"; filename="{filename}"'
    return f"{head}\r\nContent-Type: {content_type}" if content_type else head


def upload(server: Server, *parts: tuple[str, bytes]) -> Reply:
    """POST these parts."""
    return server.call("POST", "/upload", headers=[FORM], body=multipart(parts))


def stored(reply: Reply) -> Path:
    """The path in a successful answer, whose shape is checked."""
    assert reply.status == 200, reply.body
    assert [key for key, _ in reply.pairs()][:3] == ["$schema", "ok", "filePath"]
    assert reply.header("Content-Type") == "application/json"
    assert reply.header("Link") == '</schemas/UploadResponseBody.json>; rel="describedBy"'
    body = reply.json()
    assert body["ok"] is True
    path = Path(body["filePath"])
    assert path.is_absolute()
    return path


#: What is sent as file name -> the last path element of what is stored.
NAMES = {
    "a.txt": "a.txt",
    "photo.jpg": "photo.jpg",
    "/tmp/x/abs.txt": "abs.txt",
    "../../rel.txt": "rel.txt",
    "nested/p/f.txt": "f.txt",
    "my file (1).txt": "my file (1).txt",
    "ünï→.txt": "ünï→.txt",
    "100%00.txt": "100%00.txt",
}


@pytest.mark.parametrize(("sent", "kept"), NAMES.items(), ids=[f"1.6-H14-{name}" for name in NAMES])
def test_1_6_names(server: Server, sent: str, kept: str) -> None:
    """Only the last path element of a file name counts; the content is stored byte for byte."""
    path = stored(upload(server, (file_head(sent), JPEG)))
    assert path.name.endswith(kept) if server.pick("upload-kept", agentapi=False, bridge=True) else path.name == kept
    assert path.read_bytes() == JPEG


def test_1_6_backslashes(server: Server) -> None:
    """A Windows path stays inside the upload directory, whatever its slashes become."""
    path = stored(upload(server, (file_head(r"win\\style\\p.txt"), b"w")))
    assert path.name.endswith("p.txt")
    assert path.read_bytes() == b"w"


def test_1_6_encoded_name(server: Server) -> None:
    """`filename*` is decoded."""
    head = "Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''na%C3%AFve.txt\r\nContent-Type: text/plain"
    assert stored(upload(server, (head, b"x"))).name.endswith("naïve.txt")


def test_1_6_contents(server: Server) -> None:
    """Binary content, an empty file with a part type, and a file of exactly 10 MiB (H14, H15)."""
    for content in (bytes(range(256)) * 4, b"", b"\r\n--not-a-boundary\r\n", b"x" * MEGABYTES_10):
        path = stored(upload(server, (file_head("content.bin"), content)))
        assert path.read_bytes() == content


def test_1_6_same_name(server: Server) -> None:
    """Two files of one name do not overwrite each other, and the same bytes may be sent again."""
    first = stored(upload(server, (file_head("same.txt"), b"one")))
    second = stored(upload(server, (file_head("same.txt"), b"two")))
    again = stored(upload(server, (file_head("same.txt"), b"one")))
    assert first != second
    assert [path.read_bytes() for path in (first, second, again)] == [b"one", b"two", b"one"]


def test_1_6_no_part_type_needed(server: Server) -> None:
    """A part without a content type is fine unless it is empty."""
    assert stored(upload(server, (file_head("a.txt", content_type=None), b"text"))).read_bytes() == b"text"


def test_1_6_other_parts_are_ignored(server: Server) -> None:
    """Fields beside the file change nothing."""
    field = ('Content-Disposition: form-data; name="note"', b"hello")
    assert stored(upload(server, field, (file_head("a.txt"), b"a"), field)).read_bytes() == b"a"


def test_1_6_chunked(server: Server) -> None:
    """A body without Content-Length is read to its end."""
    body = multipart([(file_head("c.txt"), b"chunked")])
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:50], body[50:])) + b"0\r\n\r\n"
    head = request_bytes("POST", "/upload", host=server.host, headers=[FORM, ("Transfer-Encoding", "chunked")])
    reply = raw_exchange(server.address, head + chunks, method="POST")
    assert reply is not None
    assert stored(reply).read_bytes() == b"chunked"


TYPE_ERROR = "cannot read multipart form: request Content-Type isn't multipart/form-data"
BOUNDARY_ERROR = "cannot read multipart form: no multipart boundary param in Content-Type"
WHOLE = multipart([(file_head("a.txt"), b"abc")])
#: name -> (headers, body, message, location)
REFUSED: dict[str, tuple[HeaderList, bytes, str, str]] = {
    "no-file": ([FORM], multipart([('Content-Disposition: form-data; name="x"', b"1")]), "File required", "file"),
    "two-files": (
        [FORM],
        multipart([(file_head("a.txt"), b"a"), (file_head("b.txt"), b"b")]),
        "Multiple files received but only one was expected",
        "file",
    ),
    "empty-without-type": (
        [FORM],
        multipart([(file_head("a.txt", content_type=None), b"")]),
        "Failed to infer file media type",
        "file",
    ),
    "json": ([JSON_TYPE], b"{}", TYPE_ERROR, "body"),
    "no-content-type": ([], WHOLE, TYPE_ERROR, "body"),
    "no-boundary": ([("Content-Type", "multipart/form-data")], WHOLE, BOUNDARY_ERROR, "body"),
    "empty-body": ([FORM], b"", "cannot read multipart form: multipart: NextPart: EOF", "body"),
    "truncated": ([FORM], WHOLE[: -len(BOUNDARY) - 8], "cannot read multipart form: unexpected EOF", "body"),
}


@pytest.mark.parametrize("name", REFUSED, ids=[f"1.6-H15-{name}" for name in REFUSED])
def test_1_6_refused(server: Server, name: str) -> None:
    """422 with the row's message and location."""
    headers, body, message, location = REFUSED[name]
    reply = server.call("POST", "/upload", headers=headers, body=body)
    found = reply.json()
    assert (reply.status, found["title"], found["status"]) == (422, "Unprocessable Entity", 422), found
    assert found["detail"] == "validation failed"
    assert found["errors"] == [{"message": message, "location": location}]
    assert reply.header("Content-Type") == "application/problem+json"


@pytest.mark.parametrize("size", [MEGABYTES_10 + 1, 2 * MEGABYTES_10], ids=["one-more", "20-MiB"])
def test_1_6_too_large(server: Server, size: int) -> None:
    """More than 10 MiB is 400 (H15)."""
    reply = upload(server, (file_head("big.bin"), b"x" * size))
    found = reply.json()
    assert (reply.status, found["title"], found["detail"]) == (400, "Bad Request", "file size exceeds 10MB limit")
    assert "errors" not in found


@pytest.mark.parametrize(
    "filename", [".", "..", "/", "n" * 300], ids=["1.6-dot", "1.6-dotdot", "1.6-slash", "1.6-long"]
)
def test_1_6_impossible_names(server: Server, filename: str) -> None:
    """A name that cannot be a file's is a 500 with the cause."""
    reply = upload(server, (file_head(filename), b"x"))
    found = reply.json()
    assert (reply.status, found["detail"]) == (500, "unexpected error occurred")
    assert found["errors"][0]["message"].startswith("failed to write file: ")


@pytest.mark.parametrize(
    "head",
    ['Content-Disposition: form-data; name="file"', 'Content-Disposition: form-data; name="file"; filename=""'],
    ids=["1.6-W18-plain-field", "1.6-W18-empty-filename"],
)
def test_1_6_without_filename(server: Server, head: str) -> None:
    """A `file` part that is no file: the bridge refuses it, AgentAPI closes the connection."""
    reply = server.exchange("POST", "/upload", headers=[FORM], body=multipart([(head, b"text")]))
    status = None if reply is None else reply.status
    assert status == server.pick("upload-filename", agentapi=None, bridge=422)
    assert server.get("/status").status == 200


def test_1_6_after_shutdown(workshop: Workshop) -> None:
    """AgentAPI deletes uploads at shutdown; the bridge keeps what the conversation may point at."""
    server = workshop.launch()
    path = stored(upload(server, (file_head("kept.txt"), b"kept")))
    server.process.stop()
    assert path.exists() == server.pick("upload-kept", agentapi=False, bridge=True)


def test_1_6_modes(server: Server) -> None:
    """Stored files are not writable by others and not executable."""
    path = stored(upload(server, (file_head("mode.sh"), b"#!/bin/sh\n")))
    assert path.stat().st_mode & 0o133 == 0
    assert path.parent.stat().st_mode & 0o022 == 0
