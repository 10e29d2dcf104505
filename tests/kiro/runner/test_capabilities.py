"""Reading `--version` and `chat --help`, and remembering what they said."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bridge.errors import Problem
from bridge.kiro import capabilities
from bridge.kiro.capabilities import Capabilities, Prober, parse_help

from .helptexts import help_text
from .scripts import program


def of(version: str) -> Capabilities:
    return Capabilities(version, parse_help(help_text(version)))


@pytest.mark.parametrize(
    ("version", "engines", "stream", "resume_id"),
    [
        ("1.26.2", ("v1",), False, False),
        ("1.27.0", ("v1",), False, False),
        ("2.3.0", ("v1", "v3"), False, True),
        ("2.4.0", ("v1", "v2", "v3"), False, True),
        ("2.8.0", ("v1", "v2", "v3"), False, True),
        ("2.19.2", ("v1", "v2", "v3"), True, True),
        ("2.28.0", ("v1", "v2", "v3"), True, True),
    ],
)
def test_what_a_version_offers(version: str, engines: tuple[str, ...], stream: bool, resume_id: bool) -> None:
    found = of(version)
    assert found.engines == engines
    assert found.stream_json is stream
    assert found.has("resume-id") is resume_id
    assert found.has("no-interactive") and found.has("wrap") and not found.has("mentioned-only")
    assert found.flags["wrap"] == ("always", "never", "auto")


def test_engine_names_of_old_versions() -> None:
    assert of("2.3.0").engine_flags == {"v1": ("--agent-engine", "rust"), "v3": ("--agent-engine", "kas")}
    assert of("2.4.0").engine_flags["v3"] == ("--agent-engine", "kas")
    assert of("1.27.0").engine_flags == {"v1": ("--legacy-ui",)}
    assert of("1.26.2").engine_flags == {}


def test_a_cli_that_names_no_engine_but_streams_is_v2() -> None:
    assert Capabilities("3.9.0", {"output-format": ("text", "stream-json")}).engines == ("v2",)


@pytest.mark.parametrize(
    ("version", "takes"), [("2.13.0", False), ("2.19.2", False), ("2.27.0", True), ("3.0.1", True)]
)
def test_whether_v3_takes_trust_flags(version: str, takes: bool) -> None:
    assert Capabilities(version).takes_v3_trust is takes


@pytest.mark.parametrize("name", ["1.26.2", "2.3.0", "2.4.0", "2.28.0", "2.29.0", "q-1.19.7"])
def test_the_real_help_texts(recordings: Path, name: str) -> None:
    text = (recordings / "help" / f"{name}.txt").read_text()
    flags = parse_help(text)
    words = {word.strip("[]().,;'\"") for word in text.split() if word.startswith("--")}
    assert {f"--{flag}" for flag in flags} <= words | {"--classic"}
    found = Capabilities(name, flags)
    expected = {"2.3.0": ("v1", "v3"), "1.26.2": ("v1",), "q-1.19.7": ("v1",)}
    assert found.engines == expected.get(name, ("v1", "v2", "v3"))
    assert found.stream_json is (name in ("2.28.0", "2.29.0"))
    assert found.flags["wrap"] == ("always", "never", "auto")
    assert found.has("trust-tools") and found.has("agent") and found.has("model")


def fake(path: Path, *, version: str = "2.28.0", extra: str = "") -> Path:
    """A kiro-cli that answers the two questions and counts them."""
    (path.parent / "help.txt").write_text(help_text(version))
    return program(
        path,
        f"echo x >> {path.parent}/asked\n{extra}\n"
        f'case "$1" in --version) echo "kiro-cli {version}";; chat) cat {path.parent}/help.txt;; esac',
        "/bin/sh",
    )


def asked(path: Path) -> int:
    log = path.parent / "asked"
    return len(log.read_text().split()) if log.exists() else 0


def test_a_binary_is_asked_once_and_again_when_it_was_replaced(tmp_path: Path) -> None:
    binary, prober = fake(tmp_path / "kiro-cli"), Prober()
    first = prober.probe(binary, os.environ)
    assert isinstance(first, Capabilities) and first.version == "2.28.0" and asked(binary) == 2
    assert prober.probe(binary, os.environ) is first and asked(binary) == 2
    new = tmp_path / "new"
    fake(new, version="2.4.0")
    os.replace(new, binary)
    second = prober.probe(binary, os.environ)
    assert isinstance(second, Capabilities) and second.version == "2.4.0" and not second.stream_json
    (tmp_path / "kiro-cli-chat").write_text("worker")
    prober.probe(binary, os.environ)
    assert asked(binary) == 6


def test_the_answer_outlives_the_process_in_a_private_file(tmp_path: Path) -> None:
    binary, cache = fake(tmp_path / "kiro-cli"), tmp_path / "cache" / "probe.json"
    first = Prober(cache).probe(binary, os.environ)
    assert Prober(cache).probe(binary, os.environ) == first and asked(binary) == 2
    assert stat.S_IMODE(cache.stat().st_mode) == 0o600
    assert os.listdir(cache.parent) == ["probe.json"]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"format":2}', '{"format":2,"binaries":{"x":{"flags":3}},"acp":{}}', '{"format":9}'],
)
def test_a_broken_cache_is_ignored(tmp_path: Path, content: str) -> None:
    binary, cache = fake(tmp_path / "kiro-cli"), tmp_path / "probe.json"
    cache.write_text(content)
    assert isinstance(Prober(cache).probe(binary, os.environ), Capabilities)
    assert asked(binary) == 2


ACP_HELP = (
    "Usage: kiro-cli acp [OPTIONS]\\n\\nOptions:\\n      --agent-engine <X>\\n          [possible values: v2, v3]\\n"
)


@pytest.mark.parametrize(
    ("answer", "flags"),
    [
        (f"printf '{ACP_HELP}'", {"agent-engine": ("v2", "v3")}),
        ("printf 'Usage: kiro-cli acp [OPTIONS]\\n'", {}),
        ("printf 'Usage: kiro-cli [OPTIONS] [COMMAND]\\n  --verbose\\n'", None),
        ("echo 'error: unrecognized subcommand' >&2; exit 2", None),
        ("kill -KILL $$", None),
    ],
)
def test_whether_it_has_acp(tmp_path: Path, answer: str, flags: object) -> None:
    """Asked once, also when it has none, and remembered over restarts; what `chat` offers is remembered beside it."""
    binary, cache = fake(tmp_path / "kiro-cli", extra=f'[ "$1" = acp ] && {{ {answer}; exit; }}'), tmp_path / "c.json"
    prober = Prober(cache)
    assert prober.probe_acp(binary, os.environ) == flags and prober.probe_acp(binary, os.environ) == flags
    assert asked(binary) == 1
    assert isinstance(prober.probe(binary, os.environ), Capabilities)
    again = Prober(cache)
    assert again.probe_acp(binary, os.environ) == flags
    assert isinstance(again.probe(binary, os.environ), Capabilities)
    assert asked(binary) == 3


def test_an_acp_that_does_not_answer_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "PROBE_TIMEOUT", 0.3)
    binary, prober = fake(tmp_path / "kiro-cli", extra='[ "$1" = acp ] && sleep 60'), Prober()
    assert prober.probe_acp(binary, os.environ) is None and prober.probe_acp(binary, os.environ) is None
    assert asked(binary) == 2


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert isinstance(Prober(tmp_path / "file" / "c.json").probe(fake(tmp_path / "kiro-cli"), os.environ), Capabilities)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("echo 'error while loading shared libraries: libx.so' >&2; exit 127", "libx.so"),
        ("exit 0", "said nothing"),
        ("kill -KILL $$", "was killed"),
        ("echo hello; exit 0", "lists no flags"),
    ],
)
def test_a_cli_that_does_not_answer_is_broken(tmp_path: Path, extra: str, words: str) -> None:
    found = Prober().probe(fake(tmp_path / "kiro-cli", extra=extra), os.environ)
    assert isinstance(found, Problem) and found.code == "kiro_broken"
    assert words in found.cause and found.remedy


def test_a_cli_that_hangs_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "PROBE_TIMEOUT", 0.3)
    found = Prober().probe(fake(tmp_path / "kiro-cli", extra="sleep 1000"), os.environ)
    assert isinstance(found, Problem) and "no answer within 0.3 s" in found.cause


def test_a_file_that_is_no_program_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "kiro-cli"
    path.write_bytes(b"\x7fELF nonsense")
    path.chmod(0o755)
    found = Prober().probe(path, os.environ)
    assert isinstance(found, Problem) and "could not be started" in found.cause
