"""kiro-cli comes from a mirror: resumed, checked, kept, and never half."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import stat
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from bridge.provision.fetch import CURRENT, Cache
from bridge.provision.inputs import Inputs, Places
from bridge.provision.progress import ProvisionError
from bridge.provision.release import file_name, folder_url, listed, zip_name
from tests.provision.conftest import ROOT, Mirror, kiro_zip


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, tmp_path / "root")


def inputs(mirror: Mirror, version: str = "2.28.0", sha256: str = "") -> Inputs:
    return Inputs(workdir="/", kiro_install_url=mirror.url, kiro_cli_version=version, kiro_cli_sha256=sha256)


def cache(places: Places) -> Cache:
    return Cache(places, sleep=lambda seconds: None)


@pytest.mark.parametrize(
    ("machine", "glibc", "name"),
    [
        ("x86_64", (2, 34), "kirocli-x86_64-linux.zip"),
        ("AMD64", (2, 33), "kirocli-x86_64-linux-musl.zip"),
        ("x86_64", None, "kirocli-x86_64-linux-musl.zip"),
        ("aarch64", (2, 39), "kirocli-aarch64-linux.zip"),
        ("arm64", (2, 38), "kirocli-aarch64-linux-musl.zip"),
    ],
)
def test_build_fits_the_machine(machine: str, glibc: tuple[int, int] | None, name: str) -> None:
    assert zip_name(machine, glibc) == name


def test_unknown_machine_is_refused() -> None:
    with pytest.raises(ProvisionError) as refused:
        zip_name("riscv64", (2, 40))
    assert refused.value.problem.code == "unsupported_machine"


@pytest.mark.parametrize(("base", "version"), [("ftp://x", "1"), ("http://x", "../1"), ("http://x", ""), ("x", "1")])
def test_bad_address_or_version_is_refused(base: str, version: str) -> None:
    with pytest.raises(ProvisionError) as refused:
        folder_url(base, version)
    assert refused.value.problem.code == "bad_config"


def test_manifest_of_another_shape_says_nothing() -> None:
    assert listed([], "a") is None
    assert listed({"packages": [7, {"download": "x/a", "sha256": "short"}]}, "a") is not None
    assert listed({"packages": "no"}, "a") is None


@pytest.mark.parametrize(
    "names", [("kirocli/bin/kiro-cli", "kirocli/bin/kiro-cli-chat"), ("kiro-cli",), ("kirocli/kiro-cli",)]
)
def test_layouts_are_unpacked_and_runnable(mirror: Mirror, places: Places, names: tuple[str, ...]) -> None:
    mirror.put("2.28.0", kiro_zip(*names))
    folder = cache(places).ensure(inputs(mirror))
    assert folder.name == "2.28.0"
    programs = cache(places).programs()
    assert [path.name for path in programs] == [name.rpartition("/")[2] for name in names]
    assert all(path.stat().st_mode & 0o111 for path in programs)
    assert [path.name for path in places.versions.iterdir() if path.name.endswith((".zip", ".part"))] == []


def test_second_run_needs_no_network(mirror: Mirror, places: Places) -> None:
    mirror.put("2.28.0", kiro_zip())
    cache(places).ensure(inputs(mirror))
    asked = len(mirror.requests)
    cache(places).ensure(inputs(mirror))
    assert len(mirror.requests) == asked


def test_broken_download_is_continued(mirror: Mirror, places: Places) -> None:
    body = kiro_zip(padding=300_000)
    path = mirror.put("2.28.0", body)
    mirror.faults[path] = [("cut", 100_000), 503, ("cut", 50_000)]
    cache(places).ensure(inputs(mirror, sha256=hashlib.sha256(body).hexdigest()))
    asked = [found for _, where, found in mirror.requests if where == path]
    assert asked == ["", "bytes=100000-", "bytes=100000-", "bytes=150000-"]


def test_download_of_an_earlier_process_is_continued(mirror: Mirror, places: Places) -> None:
    body = kiro_zip(padding=300_000)
    path = mirror.put("2.28.0", body)
    mirror.faults[path] = [("cut", 100_000)] + [503] * 4
    with pytest.raises(ProvisionError) as failed:
        cache(places).ensure(inputs(mirror))
    assert failed.value.problem.code == "download_failed"
    cache(places).ensure(inputs(mirror))
    assert mirror.requests[-1][2] == "bytes=100000-"


@pytest.mark.parametrize("change", ["no ranges", "other file", "no tag"])
def test_what_cannot_be_continued_begins_again(mirror: Mirror, places: Places, change: str) -> None:
    path = mirror.put("2.28.0", kiro_zip(padding=300_000), tag="" if change == "no tag" else '"one"')
    mirror.faults[path] = [("cut", 100_000)] + [500] * 4
    with pytest.raises(ProvisionError):
        cache(places).ensure(inputs(mirror))
    if change == "no ranges":
        mirror.ranges = False
    elif change == "other file":
        mirror.put("2.28.0", kiro_zip(padding=200_000), tag='"two"')
    cache(places).ensure(inputs(mirror, sha256=hashlib.sha256(mirror.files[path]).hexdigest()))


@pytest.mark.parametrize(("status", "word"), [(404, "mirror"), (403, "read it")])
def test_refusal_is_told_at_once(mirror: Mirror, places: Places, status: int, word: str) -> None:
    path = mirror.put("2.28.0", kiro_zip())
    mirror.faults[path] = [status]
    with pytest.raises(ProvisionError) as refused:
        cache(places).ensure(inputs(mirror))
    assert refused.value.problem.code == "download_refused" and word in refused.value.problem.remedy
    assert mirror.asked(path) == 1


def test_dead_server_is_told_with_its_host(places: Places) -> None:
    dead = Inputs(workdir="/", kiro_install_url="http://127.0.0.1:9/k", kiro_cli_version="1.0.0")
    with pytest.raises(ProvisionError) as failed:
        cache(places).ensure(dead)
    assert failed.value.problem.code == "download_failed" and "127.0.0.1" in failed.value.problem.remedy


def test_truncated_zip_is_refused_and_not_kept(mirror: Mirror, places: Places) -> None:
    mirror.put("2.28.0", kiro_zip(padding=5000)[:-2000])
    with pytest.raises(ProvisionError) as refused:
        cache(places).ensure(inputs(mirror))
    assert refused.value.problem.code == "kiro_zip_broken"
    assert {path.name for path in places.versions.iterdir()} == {".lock"}


@pytest.mark.parametrize("source", ["input", "manifest"])
def test_wrong_sum_is_refused_after_a_second_look(mirror: Mirror, places: Places, source: str) -> None:
    path = mirror.put("2.28.0", kiro_zip())
    if source == "manifest":
        mirror.manifest("2.28.0", "0" * 64, of="2.28.0")
    with pytest.raises(ProvisionError) as refused:
        cache(places).ensure(inputs(mirror, sha256="0" * 64 if source == "input" else ""))
    assert refused.value.problem.code == "wrong_checksum" and source in refused.value.problem.cause
    assert mirror.asked(path) == 2
    assert {found.name for found in places.versions.iterdir()} == {".lock"}


def test_sum_of_the_manifest_is_checked(
    mirror: Mirror, places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    body = kiro_zip()
    mirror.put("2.28.0", body)
    mirror.manifest("2.28.0", hashlib.sha256(body).hexdigest(), of="2.28.0")
    cache(places).ensure(inputs(mirror))
    assert "sha256 is the expected one" in capsys.readouterr().out


def hostile(name: str, mode: int = stat.S_IFREG | 0o644) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        made.writestr(entry, "/etc/passwd")
        made.writestr("kirocli/bin/kiro-cli", "x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (hostile("../../evil"), "outside"),
        (hostile("/tmp/evil"), "outside"),
        (hostile("a\\..\\evil"), "outside"),
        (hostile("link", stat.S_IFLNK | 0o777), "link"),
        (hostile("device", stat.S_IFCHR | 0o666), "device"),
        (b"<html>not found</html>", "no zip"),
        (kiro_zip("kirocli/bin/other"), "no program"),
    ],
)
def test_hostile_zip_is_refused(mirror: Mirror, places: Places, body: bytes, word: str) -> None:
    mirror.put("2.28.0", body)
    with pytest.raises(ProvisionError) as refused:
        cache(places).ensure(inputs(mirror))
    assert refused.value.problem.code == "kiro_zip_broken" and word in refused.value.problem.cause
    assert {path.name for path in places.versions.iterdir()} == {".lock"}


def test_zip_bomb_is_refused(mirror: Mirror, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("kirocli/bin/kiro-cli", bytes(3_000_000))
    mirror.put("2.28.0", buffer.getvalue())
    monkeypatch.setattr("bridge.provision.unpacking.MOST_BYTES", 1 << 20)
    with pytest.raises(ProvisionError) as refused:
        cache(places).ensure(inputs(mirror))
    assert "more than" in refused.value.problem.cause


def test_full_disk_is_told(mirror: Mirror, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.put("2.28.0", kiro_zip())
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ProvisionError) as failed:
        cache(places).ensure(inputs(mirror))
    assert failed.value.problem.code == "disk_full"


def test_versions_are_kept_and_the_oldest_goes(mirror: Mirror, places: Places) -> None:
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        mirror.put(version, kiro_zip())
        cache(places).ensure(inputs(mirror, version))
    assert {path.name for path in places.versions.iterdir()} == {".lock", CURRENT, "2.0.0", "3.0.0"}
    asked = len(mirror.requests)
    cache(places).ensure(inputs(mirror, "2.0.0"))
    assert (places.versions / CURRENT).resolve().name == "2.0.0" and len(mirror.requests) == asked


def test_latest_is_taken_when_it_is_new_and_kept_when_nobody_answers(mirror: Mirror, places: Places) -> None:
    latest = inputs(mirror, "latest")
    for version in ("2.0.0", "2.1.0"):
        body = kiro_zip(padding=len(version) + int(version[2]))
        mirror.put("latest", body, tag=f'"{version}"')
        mirror.manifest(version, hashlib.sha256(body).hexdigest())
        for _ in range(2):
            assert cache(places).ensure(latest).name == version
    assert mirror.asked(f"/latest/{file_name()}") == 2
    mirror.files.clear()
    assert cache(places).ensure(latest).name == "2.1.0"


def test_latest_without_a_manifest_is_told_by_its_tag(mirror: Mirror, places: Places) -> None:
    latest = inputs(mirror, "latest")
    names: set[str] = set()
    for tag in ('"one"', '"one"', '"two"'):
        mirror.put("latest", kiro_zip(padding=len(names) + 1) if tag == '"two"' else kiro_zip(), tag=tag)
        names.add(cache(places).ensure(latest).name)
    gets = [path for method, path, _ in mirror.requests if method == "GET" and path.endswith(".zip")]
    assert len(names) == 2 and len(gets) == 2


def test_two_processes_fetch_once(mirror: Mirror, places: Places) -> None:
    path = mirror.put("2.28.0", kiro_zip(padding=100_000))
    threads = [threading.Thread(target=cache(places).ensure, args=(inputs(mirror),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mirror.asked(path) == 1


def test_account_in_the_address_is_sent_and_never_shown(
    mirror: Mirror, places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror.put("2.28.0", kiro_zip())
    address = mirror.url.replace("://", "://user:pass-that-is-secret@")
    cache(places).ensure(Inputs(workdir="/", kiro_install_url=address, kiro_cli_version="2.28.0"))
    assert mirror.headers[-1]["Authorization"].startswith("Basic ")
    assert "pass-that-is-secret" not in capsys.readouterr().out


def test_proxy_of_the_environment_is_used(
    mirror: Mirror, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", mirror.url)
    mirror.files[f"http://kiro.invalid/2.28.0/{file_name()}"] = kiro_zip()
    wanted = Inputs(workdir="/", kiro_install_url="http://kiro.invalid", kiro_cli_version="2.28.0")
    assert cache(places).ensure(wanted).is_dir()


def test_it_runs_with_the_standard_library_alone(mirror: Mirror, tmp_path: Path) -> None:
    mirror.put("2.28.0", kiro_zip())
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"workdir": "/", "kiro_install_url": mirror.url, "kiro_cli_version": "2.28.0"}))
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from bridge.provision.fetch import main;"
        f" code = main(['--config', {str(config)!r}]);"
        " paths = [getattr(m, '__file__', None) or '' for m in sys.modules.values()];"
        " sys.exit(code or [p for p in paths if 'site-packages' in p] or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Unpacking" in result.stdout
