"""The stand-in writes nothing that the real program was not seen to write, but for the exceptions named here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reality import shapes
from tests.standin.runs import Cli, fresh

#: What the stand-in writes although no recording has it: a path with its type, or a path without one for all that is
#: below #: it; and the section of the facts it follows.
EXCEPTIONS = {
    "v1": {
        "row.model_info.model_name: string": "kiro-cli.md 3.1",
        "row.user_turn_metadata": "kiro-stores.md C",
        "row.context_manager: null": "kiro-stores.md C, empty value of a new conversation",
    },
    "v2": {
        "line<AssistantMessage>.data.content[thinking]": "kiro-cli.md 4.1, block kinds",
        "line<ToolResults>.data.results.*.result.Error": "kiro-wire.md 18: only its content is recorded [L]",
        "line<ToolResults>.data.results.*.tool.kind.BuiltIn.AgentCrew": "kiro-stores.md A.7: in the file [L]",
        "side.parent_session_id: string": "kiro-wire.md 18, kiro-stores.md C",
    },
    "v3": {
        "row<assistant>.payload.subExecutionId: string": "kiro-stores.md B.4, B.8",
        "row<sub_agent_start>": "kiro-stores.md B.4",
        "row<sub_agent_complete>": "kiro-stores.md B.4",
    },
    "v2 stream": {"event<runError>.data.sessionId: string": "kiro-stores.md A.2"},
    "v3 stream": {
        "event<runError>.data.sessionId: string": "kiro-stores.md A.2",
        "update<agent_thought_chunk>._meta": "kiro-stores.md A.4, same shape as the text's",
    },
}
EVERYTHING = (
    "thought hm",
    "text First.",
    "tool shell echo a; exit 3",
    "also shell echo b",
    "tool write note.txt hello",
    "tool read note.txt",
    "tool read absent",
    "text Last.",
)
RELEASES = ("1.28", "2.19", "2.28", "3.0")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Return the stand-in with an empty home and an empty working folder."""
    return fresh(tmp_path)


def covered(path: str, exception: str) -> bool:
    """Whether an exception allows a path."""
    return path == exception or (
        ": " not in exception and path.startswith((f"{exception}.", f"{exception}[", f"{exception}:"))
    )


def compare(name: str, real: set[str], ours: set[str], count: int) -> None:
    """Fail on a path of ours that is neither recorded nor an exception, and on an exception nobody needs."""
    exceptions = EXCEPTIONS[name]
    print(f"\n{name}: {count} recordings, {len(ours)} shapes compared, {len(exceptions)} exceptions")
    print("".join(f"  recorded, not in the stand-in: {path}\n" for path in sorted(real - ours)))
    unknown = {path for path in ours - real if not any(covered(path, exception) for exception in exceptions)}
    assert not unknown, f"{name}: in no recording and no exception:\n  " + "\n  ".join(sorted(unknown))
    stale = [exception for exception in exceptions if not any(covered(path, exception) for path in ours - real)]
    assert not stale, f"{name}: exceptions that nothing needs: {stale}"


def chat(
    cli: Cli, engine: str, *lines: str, options: tuple[str, ...] = ("-a",), stream: bool = False, release: str = "2.28"
) -> str:
    """A run of any release; its stdout."""
    named = ("--agent-engine", engine) if release != "1.28" else ()
    trust = options if (engine, release) != ("v3", "2.19") else ()
    form = ("--output-format", "stream-json") if stream else ()
    prompt = "\n".join(f"!standin {line}" for line in lines)
    done = cli.run("chat", "--no-interactive", *named, *trust, *form, stdin=prompt, KIRO_STANDIN_VERSION=release)
    assert "Traceback" not in done.err, done.err
    return done.out


def loaded(paths: list[Path]) -> Iterator[Any]:
    """JSON lines of files."""
    for path in paths:
        for line in path.read_text("utf-8").splitlines():
            yield json.loads(line)


def test_v1_rows(cli: Cli) -> None:
    folder = shapes.recordings()
    ancestors = sorted((folder / "v1").glob("*.json"))
    kiro = sorted((folder / "store-v1").glob("*/value.json"))
    real = [json.loads(path.read_text("utf-8")) for path in kiro]
    for path in ancestors:
        for run in json.loads(path.read_text("utf-8"))["runs"]:
            real += [version["value"] for version in run.get("row_versions", [])]
    for release in RELEASES:
        chat(cli, "v1", *EVERYTHING, release=release)
        chat(cli, "v1", "text Denied.", "tool shell true", options=(), release=release)
        chat(cli, "v1", "text Again.", options=("--resume",), release=release)
    ours = shapes.all_paths(("row", row) for row in cli.rows())
    compare("v1", shapes.all_paths(("row", row) for row in real), ours, len(ancestors) + len(kiro))


def test_v2_files(cli: Cli) -> None:
    folder = shapes.recordings() / "store-v2"
    lines, sides = sorted(folder.glob("*/session.jsonl")), sorted(folder.glob("*/session.json"))
    real = shapes.all_paths(shapes.v2_line(line) for line in loaded(lines))
    real |= shapes.all_paths(("side", json.loads(path.read_text("utf-8"))) for path in sides)
    for release in RELEASES[1:]:
        chat(cli, "v2", *EVERYTHING, "subagent probe inner", release=release)
        chat(cli, "v2", "tool shell true", "text Denied.", options=(), release=release)
        chat(cli, "v2", "text Again.", options=("--resume", "--model", "named"), release=release)
        chat(cli, "v2", "text Named.", options=("--model", "named"), release=release)
    ours = shapes.all_paths(shapes.v2_line(line) for line in loaded(cli.v2_files(".jsonl")))
    ours |= shapes.all_paths(("side", json.loads(path.read_text("utf-8"))) for path in cli.v2_files(".json"))
    compare("v2", real, ours, len(lines) + len(sides))


def test_v3_files(cli: Cli) -> None:
    folder = shapes.recordings() / "store-v3"
    lines, sides = sorted(folder.glob("*/messages.jsonl")), sorted(folder.glob("*/session.json"))
    real = shapes.all_paths(shapes.v3_row(row) for row in loaded(lines))
    real |= shapes.all_paths(("session", json.loads(path.read_text("utf-8"))) for path in sides)
    for release in RELEASES[1:]:
        chat(cli, "v3", *EVERYTHING, "subagent probe inner", release=release)
        chat(cli, "v3", "tool shell true", "text Denied.", options=(), release=release)
        chat(cli, "v3", "text Again.", options=("--resume",), release=release)
        chat(cli, "v3", "text Failing.", "fault throttled", release=release)
    store = cli.home / ".kiro" / "sessions"
    ours = shapes.all_paths(shapes.v3_row(row) for row in loaded(sorted(store.glob("*/sess_*/**/*.jsonl"))))
    ours |= shapes.all_paths(
        ("session", json.loads(path.read_text("utf-8"))) for path in store.glob("*/sess_*/session.json")
    )
    compare("v3", real, ours, len(lines) + len(sides))


@pytest.mark.parametrize("engine", ["v2", "v3"])
def test_stream(cli: Cli, engine: str) -> None:
    folder = shapes.recordings()
    files = sorted((folder / "stream-json").glob(f"{engine}-*.jsonl"))
    acp = folder / f"acp-{engine}"
    real = shapes.all_paths(pair for path in files for pair in shapes.events(path.read_text("utf-8").splitlines()))
    refused = (folder / "stream-json" / "v1-refused-2.21.1.jsonl").read_text("utf-8").splitlines()
    real |= shapes.all_paths(shapes.events(refused)) | shapes.all_paths(shapes.acp_updates(acp))
    lines: list[str] = []
    for release in RELEASES[1:]:
        for directives, options in (
            ((*EVERYTHING, "subagent probe inner"), ("-a",)),
            (("tool shell true", "text Denied."), ()),
            (("text Failing.", "fault throttled"), ()),
        ):
            lines += chat(cli, engine, *directives, options=options, stream=True, release=release).splitlines()
    count = len(files) + 1 + len(list(acp.glob("*.jsonl")))
    compare(f"{engine} stream", real, shapes.all_paths(shapes.events(lines)), count)


def flags(text: str) -> list[tuple[str, str, str]]:
    """Flags of a help text in order: the flag line and its values, listed or possible."""
    found = []
    for block in re.split(r"\n(?=  (?:-\w, |    )--)", text)[1:]:
        head, _, rest = block.partition("\n")
        possible = re.search(r"\[possible values: ([^]]*)\]", rest)
        values = possible.group(1).split(", ") if possible else re.findall(r"^ +- ([\w-]+):", rest, re.MULTILINE)
        aliases = re.search(r"\[aliases: ([^]]*)\]", rest)
        found.append((head.strip(), ",".join(values), aliases.group(1) if aliases else ""))
    return found


def test_help_texts(cli: Cli) -> None:
    recorded = [path for path in sorted((shapes.recordings() / "help").glob("*.txt")) if path.stem[0].isdigit()]
    assert len(recorded) >= 5
    for path in recorded:
        text = cli.run("chat", "--help", KIRO_STANDIN_VERSION=path.stem).out
        real = path.read_text("utf-8")
        assert flags(text) == flags(real), path.stem
        assert text.splitlines()[2:8] == real.splitlines()[2:6] + text.splitlines()[6:8]
        assert len(flags(real)) > 12
    print(f"\nhelp: {len(recorded)} recordings compared")
