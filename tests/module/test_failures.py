"""What goes wrong in a start with the real bridge: what the script then says, and that the next start is a good one."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import socket
import tarfile
from collections.abc import Callable

import pytest

from tests.ledger.test_failures import own_file_system
from tests.module.living import VERSION, Living, small_disk
from tests.provision.conftest import SECRET, kiro_zip, make_database, tar_of, tokens, zstd
from tests.provision.test_login import special

PROMPT = "Do it\n!standin text Done."


def as_variable(archive: bytes) -> str:
    return base64.b64encode(archive).decode()


# kiro-cli


def missing(living: Living) -> None:
    living.mirror.files.clear()


def truncated(living: Living) -> None:
    living.mirror.put(VERSION, kiro_zip(padding=5000)[:-3000])


def error_page(living: Living) -> None:
    living.mirror.put(VERSION, b"<html>Please log in</html>")


def wrong_sum(living: Living) -> None:
    living.config["kiro_cli_sha256"] = "0" * 64


def wrong_sum_in_the_manifest(living: Living) -> None:
    living.mirror.manifest(VERSION, "0" * 64, of=VERSION)


def forbidden(living: Living) -> None:
    for path in living.mirror.files:
        living.mirror.faults[path] = [403]


NO_KIRO: list[tuple[Callable[[Living], None], tuple[str, str]]] = [
    (missing, ("answered with HTTP status 404", "Check the address and the version")),
    (forbidden, ("answered with HTTP status 403", "Let this workspace read it")),
    (truncated, ("it is damaged or no zip at all", "Check the file behind kiro_install_url")),
    (error_page, ("it is damaged or no zip at all", "an error page or half a file?")),
    (wrong_sum, ("but the input kiro_cli_sha256 says 000", "Give the sum of this file")),
    (wrong_sum_in_the_manifest, ("but the manifest beside it says 000", "put the right file there")),
]


def test_kiro_cli_that_cannot_be_had(living: Living) -> None:
    """The page that explains it can be reached, the prompt waits, and the next good start sends it."""
    living.config["ai_prompt"] = PROMPT
    good = dict(living.config)
    for spoil, words in NO_KIRO:
        offer(living)
        living.config = dict(good)
        spoil(living)
        living.failed(*words)
        found = living.get("/status")
        assert found["ready"] is False and found["problem"]["code"] == "kiro_missing", spoil.__name__
    assert living.messages() == []
    offer(living)
    living.config = good
    assert "It has taken the initial prompt." in living.started()
    assert living.prompts() == [PROMPT]


def offer(living: Living) -> None:
    """Have the mirror offer a good kiro-cli and nothing else."""
    for kept in (living.mirror.files, living.mirror.faults, living.mirror.tags):
        kept.clear()
    living.mirror.put(VERSION, kiro_zip())


def test_kiro_cli_that_does_not_run(living: Living) -> None:
    """What it said is shown, and another version is taken."""
    living.mirror.put(VERSION, kiro_zip(script="#!/bin/sh\necho GLIBC_2.99 not found >&2\nexit 1\n"))
    living.failed("GLIBC_2.99 not found", "Choose another kiro_cli_version")
    living.mirror.put("2.29.0", kiro_zip())
    living.config["kiro_cli_version"] = "2.29.0"
    living.started()
    living.send(PROMPT)
    assert living.messages()[-1]["content"].endswith("Done.")


# The login


def bomb() -> bytes:
    """Return an archive of some hundred KB that would unpack to more than a GiB."""
    entry = tarfile.TarInfo("data.sqlite3")
    entry.size = 1100 << 20
    return zstd(entry.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 20))


BAD_LOGIN: list[tuple[str, Callable[[], str], tuple[str, str]]] = [
    ("no base64", lambda: f"%%{SECRET}", ("is not base64 text", "Give the output of `kiro-bridge pack-login`")),
    ("no archive", lambda: as_variable(b"nonsense" * 100), ("neither a zstd nor a gzip", "base64 -w 0")),
    ("half", lambda: as_variable(zstd(os.urandom(4000))[:2000]), ("cannot be read", "Make a new one")),
    ("no database", lambda: as_variable(zstd(tar_of(("x", b"y")))), ("no data.sqlite3 in it", "Make a new one")),
    ("noise", lambda: as_variable(zstd(tar_of(("data.sqlite3", b"noise" * 99)))), ("database", "pack-login")),
    ("traversal", lambda: as_variable(zstd(tar_of(("../../x", b"y")))), ("leads outside of it", "Make a new one")),
    ("absolute", lambda: as_variable(zstd(tar_of(("/tmp/x", b"y")))), ("leads outside of it", "Make a new one")),
    (
        "symlink",
        lambda: as_variable(zstd(tar_of((special("data.sqlite3", tarfile.SYMTYPE, "/etc/passwd"), b"")))),
        ("is a link", "Make a new one"),
    ),
    (
        "hard link",
        lambda: as_variable(gzip.compress(tar_of((special("data.sqlite3", tarfile.LNKTYPE, "x"), b"")))),
        ("is a link", "Make a new one"),
    ),
    ("bomb", lambda: as_variable(bomb()), ("unpacks to more than 1 GiB", "Make a new one")),
]


def test_login_that_cannot_be_used(living: Living) -> None:
    """The login before stays as it was, nothing is left of the bad one, and a good one is taken in."""
    make_database(living.database, "the token before", ends="2020-01-01T00:00:00Z")
    before = living.database.read_bytes()
    for name, make, words in BAD_LOGIN:
        said = living.failed(*words, KIRO_CLI_AUTH_TARBALL=make())
        assert SECRET not in said
        assert living.database.read_bytes() == before, name
        assert [path.name for path in living.database.parent.iterdir()] == ["data.sqlite3"], name
    living.started(**living.login(SECRET))
    assert SECRET in tokens(living.database)


# The workspace


def test_port_that_is_taken(living: Living) -> None:
    """The program that listens there is not taken for the bridge."""
    living.config["ai_prompt"] = PROMPT
    with socket.socket() as other:
        other.bind(("127.0.0.1", living.config["port"]))
        other.listen()
        living.failed(f"port {living.config['port']} cannot be used", "give the module another port")
    assert living.pid is None
    living.started()
    assert living.prompts() == [PROMPT]


def test_folder_that_cannot_be_made(living: Living) -> None:
    living.config["workdir"] = "/dev/null/project"
    living.failed("/dev/null/project is not there and cannot be made", "Set workdir to a folder of this account")
    assert living.pid is None


def test_script_of_the_user_that_fails(living: Living) -> None:
    """Its exit code is the start script's, and its output is in the log."""
    living.config["pre_install_script"] = "#!/bin/sh\necho no luck\nexit 42\n"
    result = living.begin()
    assert result.code == 42 and "no luck" in result.out
    assert "The pre_install script ended with exit code 42" in result.errors and "pre_install.log" in result.errors


@pytest.fixture
def unshare() -> list[str]:
    """Return the command in front of another one that may mount disks of its own."""
    found = own_file_system()
    if found is None:
        pytest.skip("no file system of our own can be mounted here")
    return found


def test_full_disk_for_a_part(living: Living, unshare: list[str]) -> None:
    """The part that finds no room says so and leaves nothing that could be taken for it."""
    place = living.directory / "bridge"
    living.disk = small_disk(unshare, place, "64k")
    result = living.together(living.scripts().parts[0], f"#!/bin/sh\ncd '{place}' && ls -AR . && exit 7")
    assert "could not be written" in result.errors and "df -h ~" in result.errors
    assert result.code == 7 and result.out.split()[-1].endswith("/parts:"), "something is in the folder of the parts"


def test_full_disk_for_the_bridge(living: Living, unshare: list[str]) -> None:
    """All parts fit, what they hold does not; nothing half-made is used when there is room."""
    room = sum(map(len, living.scripts().parts)) + 400_000
    living.disk = small_disk(unshare, living.directory / "bridge", f"{room >> 10}k")
    living.failed("No space left on device", "has free space (df -h ~)")
    living.disk = []
    living.started()


def test_full_disk_for_kiro_cli(living: Living, unshare: list[str]) -> None:
    """The bridge starts all the same, and says what to make room for."""
    living.mirror.put(VERSION, kiro_zip(padding=3 << 20))
    living.disk = small_disk(unshare, living.places.versions, "1m")
    living.failed("There is no room left on the disk", "kiro-cli needs about 1.5 GB")
    assert living.get("/status")["ready"] is False
    living.stopped()
    living.disk = []
    living.started()


def test_full_disk_for_the_login(living: Living, unshare: list[str]) -> None:
    """The login does not fit; the next start with room takes it in."""
    living.disk = small_disk(unshare, living.database.parent, "8k")
    living.failed("There is no room left on the disk", "Make room", **living.login(SECRET))
    living.stopped()
    living.disk = []
    living.started()
    assert SECRET in tokens(living.database)


def test_sum_is_that_of_the_file(living: Living) -> None:
    """A right sum is taken."""
    body = kiro_zip(padding=10)
    living.mirror.put(VERSION, body)
    living.config["kiro_cli_sha256"] = hashlib.sha256(body).hexdigest()
    assert "its sha256 is the expected one" in living.started()
