"""The headless transport: the stand-in's releases and engines, real stores, real processes."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge.core.feed import (
    Ended,
    Engine,
    FeedEvent,
    MessageRecorded,
    Notice,
    PromptRecorded,
    SessionKnown,
    TextDelta,
    ToolSeen,
    UsageSeen,
)
from bridge.core.ports import PromptRequest
from bridge.kiro import survivors
from bridge.kiro.command import LaunchOptions
from bridge.kiro.headless import HeadlessTransport
from bridge.kiro.installation import Found, Installation
from bridge.kiro.locations import find_locations
from tests.conftest import Standin

from .helptexts import help_text
from .scripts import Control, alive, pid_in, program, until

ENGINES: tuple[Engine, ...] = ("v1", "v2", "v3")


@dataclass
class Bench:
    """A transport on a scratch home; `kiro_id` and `engine` are kept from turn to turn, as the engine room does."""

    transport: HeadlessTransport
    cwd: str
    kiro_id: str | None = None
    engine: Engine | None = None
    batches: list[list[FeedEvent]] = field(default_factory=list)
    control: Control = field(default_factory=Control)

    def run(self, prompt: str, *, when: Callable[[FeedEvent], bool] | None = None) -> list[FeedEvent]:
        """Run a prompt to its end and return the events; stop it when an event says so."""
        control = self.control
        request = PromptRequest(prompt, self.cwd, self.kiro_id, self.engine, time.time())
        self.batches = []
        for batch in self.transport.run(request, control):
            assert batch, "a batch is never empty"
            self.batches.append(list(batch))
            if when is not None and any(map(when, batch)) and not control.cancelled():
                control.cancel()
        events = [event for batch in self.batches for event in batch]
        assert [type(event) for event in events].count(Ended) == 1 and isinstance(events[-1], Ended)
        for event in events:
            if isinstance(event, SessionKnown):
                self.kiro_id, self.engine = event.kiro_id, event.engine
        return events


Making = Callable[..., Bench]


@pytest.fixture
def bench(standin: Standin, tmp_path: Path) -> Iterator[Making]:
    """Make transports: `bench(version="2.28.0", engine="auto", binary=None, grace=3.0, **environment)`."""
    installations: list[Installation] = []
    controls: list[Control] = []
    work = tmp_path / "work"
    work.mkdir()

    def make(
        version: str = "2.28.0", engine: str = "auto", binary: Path | None = None, grace: float = 3.0, **extra: str
    ) -> Bench:
        environ = {
            **os.environ,
            **standin.env,
            "KIRO_STANDIN_VERSION": version,
            "KIRO_STANDIN_TOKEN_DELAY": "0",
            **extra,
        }
        options = LaunchOptions(engine=engine, trust_all_tools=True)  # type: ignore[arg-type]
        installations.append(Installation(environ, options, explicit=str(binary) if binary else None))
        transport = HeadlessTransport(installations[-1], find_locations(environ), options, stop_grace=grace)
        made = Bench(transport, os.path.realpath(work))
        controls.append(made.control)
        return made

    yield make
    for installation in installations:
        installation.close()
    for control in controls:
        control.close()


def recorded(events: list[FeedEvent]) -> list[str]:
    return [
        event.text for event in events if isinstance(event, MessageRecorded) and event.speaker == "text" and event.text
    ]


def previewed(events: list[FeedEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta) and event.agent is None)


def ended(events: list[FeedEvent]) -> Ended:
    assert isinstance(events[-1], Ended)
    return events[-1]


def code(events: list[FeedEvent]) -> str:
    problem = ended(events).problem
    return problem.code if problem else ended(events).outcome


@pytest.mark.parametrize(
    ("version", "asked", "engine"),
    [("1.28.0", "auto", "v1"), ("2.5.1", "auto", "v1"), ("2.5.1", "v2", "v2"), ("2.19.2", "auto", "v2")]
    + [("2.28.0", engine, engine) for engine in ENGINES]
    + [("3.0.0", "v3", "v3")],
)
def test_a_turn_and_the_next_one_in_the_same_conversation(bench: Making, version: str, asked: str, engine: str) -> None:
    made = bench(version, asked)
    first = made.run("!standin text before\n!standin tool shell echo inside\n!standin text after")
    assert ended(first) == Ended("completed", recorded=True)
    assert recorded(first) == ["before", "after"] and previewed(first) == "beforeafter"
    tools = [event for event in first if isinstance(event, ToolSeen)]
    assert len({event.key for event in tools}) == 1 and tools[-1].status == "completed"
    assert any("inside" in (event.output or "") for event in tools)
    assert [event.text for event in first if isinstance(event, PromptRecorded)]
    assert any(event.credits for event in first if isinstance(event, UsageSeen))
    known = made.kiro_id
    assert known and made.engine == engine
    second = made.run("!standin about")
    assert ended(second).outcome == "completed" and made.kiro_id == known
    assert "turns=1" in recorded(second)[0], "it knows of the turn before"
    assert not [event for event in second if isinstance(event, Notice)]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_first_words_come_long_before_the_end(bench: Making, engine: str) -> None:
    made = bench(engine=engine)
    gate = Path(made.cwd) / "gate"
    os.mkfifo(gate)
    seen: list[str] = []

    def on(event: FeedEvent) -> bool:
        if isinstance(event, TextDelta) and not seen:
            seen.append(event.text)
            gate.write_text("go\n")
        return False

    events = made.run(f"!standin text early\n!standin tool shell cat {gate}\n!standin text late", when=on)
    assert seen == ["early"] and recorded(events) == ["early", "late"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "extra", ["", "\nnul \0 esc \x1b[201~\x1b[31m 👩‍💻", "\n" + "x" * 5_000_000], ids=["plain", "controls", "5 MB"]
)
def test_a_prompt_arrives_whole_though_it_begins_with_a_dash(bench: Making, engine: str, extra: str) -> None:
    prompt = f"--resume -v\n!standin echo{extra}"
    events = bench(engine=engine).run(prompt)
    assert recorded(events)[0].startswith(f"bytes={len(prompt.encode())} ")


@pytest.mark.parametrize("engine", ENGINES)
def test_5000_lines_and_the_same_answer_twice(bench: Making, engine: str) -> None:
    made = bench(engine=engine)
    events = made.run("!standin chunks 500\n!standin numbered 5000 line")
    lines = recorded(events)[0].splitlines()
    assert lines == [f"line {number}" for number in range(1, 5001)]
    if engine != "v1":
        assert previewed(events).splitlines() == lines
    again = made.run("!standin twice the same")
    assert recorded(again) == ["the same", "the same"]


def test_text_that_floods_is_handed_on_in_few_batches(bench: Making) -> None:
    made = bench()
    began = time.monotonic()
    events = made.run("!standin chunks 4000\n!standin numbered 4000 line")
    took = time.monotonic() - began
    assert len(recorded(events)[0].splitlines()) == 4000
    assert len(made.batches) <= 50 * took + 10


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stop_in_a_tool_keeps_what_was_said_and_leaves_nobody(bench: Making, engine: str) -> None:
    made = bench(engine=engine, grace=0.3)
    pid = Path(made.cwd) / "pid"
    prompt = f"!standin text so far\n!standin tool shell echo $$ > {pid}; exec sleep 1000\n!standin text never"
    events = made.run(prompt, when=lambda event: isinstance(event, ToolSeen) and bool(pid_in(pid)))
    assert ended(events).outcome == "cancelled" and ended(events).problem is None
    assert previewed(events) == "so far" and "never" not in recorded(events)
    assert not alive(pid_in(pid))
    assert survivors.run_members(made.control.marks[-1]["run"]) == []


@pytest.mark.parametrize("fault", ["ignore-sigint", "ignore-signals"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_stop_of_one_that_will_not_listen(bench: Making, engine: str, fault: str) -> None:
    made = bench(engine=engine, grace=0.2, KIRO_STANDIN_FAULT=fault)
    events = made.run("!standin text so far\n!standin sleep 1000", when=lambda event: isinstance(event, TextDelta))
    assert ended(events).outcome == "cancelled" and previewed(events) == "so far"
    assert survivors.run_members(made.control.marks[-1]["run"]) == []


def test_a_stop_before_the_start_starts_nothing(bench: Making) -> None:
    made = bench()
    made.control.cancel()
    assert made.run("!standin text x") == [Ended("cancelled")]
    assert made.control.marks == []


def test_a_run_that_is_left_by_its_reader_is_ended(bench: Making) -> None:
    made = bench()
    request = PromptRequest("!standin text x\n!standin sleep 1000", made.cwd, None, None, time.time())
    feed = made.transport.run(request, made.control)
    next(feed)
    feed.close()  # type: ignore[attr-defined]
    assert survivors.run_members(made.control.marks[-1]["run"]) == []


@pytest.mark.parametrize("engine", ["v1", "v2"])
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("not-logged-in", "not_logged_in"),
        ("expired-token", "login_expired"),
        ("no-token", "not_logged_in"),
        ("throttled", "throttled"),
        ("slow-down", "throttled"),
        ("out-of-credits", "out_of_credits"),
        ("context-overflow", "context_overflow"),
        ("model-unavailable", "model_unavailable"),
        ("mcp-closed", "mcp_startup_failed"),
        ("mcp-startup", "mcp_startup_failed"),
        ("agent-not-found", "agent_not_found"),
        ("auth-exit-0", "login_expired"),
        ("silent", "no_answer"),
        ("die", "killed"),
        ("exit 9", "crashed"),
    ],
)
def test_every_failure_ends_the_turn_with_its_cause(bench: Making, engine: str, fault: str, expected: str) -> None:
    made = bench(engine=engine)
    events = made.run(f"!standin text partly\n!standin tool shell true\n!standin fault {fault}")
    problem = ended(events).problem
    assert problem is not None and problem.code == expected, problem
    assert problem.cause and problem.remedy
    if fault != "silent":
        assert previewed(events).startswith("partly") or "partly" in recorded(events)


@pytest.mark.parametrize("engine", ENGINES)
def test_after_a_failure_the_next_prompt_works(bench: Making, engine: str) -> None:
    made = bench(engine=engine)
    assert code(made.run("!standin text partly\n!standin fault throttled")) == "throttled"
    assert recorded(made.run("!standin text fine")) == ["fine"]


@pytest.mark.parametrize("engine", ["v2", "v3"])
@pytest.mark.parametrize("reason", ["refusal", "cancelled"])
def test_an_answer_that_was_not_given_is_no_success(bench: Making, engine: str, reason: str) -> None:
    assert code(bench(engine=engine).run(f"!standin text x\n!standin fault stop-reason {reason}")) == "no_answer"


@pytest.mark.parametrize("engine", ["v2", "v3"])
@pytest.mark.parametrize(
    "fault", ["noise", "unknown-lines", "huge-line 3", "flood 3", "final-truncated", "no-terminal-line"]
)
def test_an_odd_stream_still_ends_well(bench: Making, engine: str, fault: str) -> None:
    events = bench(engine=engine).run(f"!standin text one\n!standin fault {fault}\n!standin text two")
    assert code(events) == "completed"
    assert "".join(recorded(events)) == "onetwo"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fault", ["leave-child 1000", "leave-child-pipe 1000", "linger 1000", "flood-stderr 5"])
def test_a_run_that_does_not_go_away_by_itself_is_ended(bench: Making, engine: str, fault: str) -> None:
    if fault.startswith("linger") and engine == "v1":
        pytest.skip("v1 has no last line after which it could linger")
    made = bench(engine=engine)
    assert code(made.run(f"!standin text x\n!standin fault {fault}")) == "completed"
    assert survivors.run_members(made.control.marks[-1]["run"]) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_device_login_is_ended_not_waited_for(bench: Making, engine: str) -> None:
    events = bench(engine=engine).run("!standin fault device-login")
    assert code(events) == "not_logged_in"


def test_logged_out_is_seen_before_a_run_and_the_login_needs_no_restart(bench: Making, tmp_path: Path) -> None:
    made = bench()
    found = made.transport._installation.find()
    assert isinstance(found, Found)
    subprocess.run([found.binary, "logout"], env=dict(found.env), check=True, capture_output=True)
    events = made.run("!standin text x")
    assert code(events) == "not_logged_in" and len(events) == 1 and made.control.marks == []
    subprocess.run([found.binary, "login", "--use-device-flow"], env=dict(found.env), check=True, capture_output=True)
    assert code(made.run("!standin text x")) == "completed"


@pytest.mark.parametrize("version", ["2.19.2", "2.28.0"])
@pytest.mark.parametrize("engine", ["v2", "v3"])
def test_a_conversation_that_is_gone_is_not_asked_for(bench: Making, version: str, engine: Engine) -> None:
    made = bench(version, engine)
    made.kiro_id, made.engine = "sess_00000000-0000-4000-8000-00000000dead", engine
    events = made.run("!standin text x")
    assert code(events) == "completed" and recorded(events) == ["x"]
    assert "conversation_lost" in [event.key for event in events if isinstance(event, Notice)]


@pytest.mark.parametrize("version", ["2.19.2", "2.28.0"])
@pytest.mark.parametrize("engine", ["v2", "v3"])
def test_a_conversation_that_kiro_refuses_to_continue(
    bench: Making, version: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.kiro.headless.is_gone", lambda *_: False)
    made = bench(version, engine)
    made.kiro_id, made.engine = "sess_00000000-0000-4000-8000-00000000dead", engine
    assert code(made.run("!standin text x")) == "resume_lost"
    events = made.run("!standin text y")
    assert code(events) == "completed" and recorded(events) == ["y"]


def test_an_engine_that_is_not_there_is_a_failed_turn(bench: Making) -> None:
    assert code(bench("1.28.0", "v2").run("x")) == "engine_unavailable"


def test_trust_that_v3_does_not_take_is_said(bench: Making) -> None:
    events = bench("2.19.2", "v3").run("!standin text x")
    assert code(events) == "completed"
    assert [event.key for event in events if isinstance(event, Notice)] == ["trust_not_taken"]


def test_a_working_folder_that_is_gone(bench: Making) -> None:
    made = bench()
    os.rmdir(made.cwd)
    assert code(made.run("x")) == "workdir_missing"


def fake(path: Path, chat: str, version: str = "2.28.0") -> Path:
    """A kiro-cli whose `chat` is the given shell text, run from a file beside it."""
    (path.parent / "help").write_text(help_text(version))
    (path.parent / "chat.sh").write_text(chat)
    return program(
        path,
        f'case "$1 $2" in --version*) echo kiro-cli {version};; "chat --help") cat {path.parent}/help;;'
        f" whoami*) echo Logged in;; *) exec /bin/sh {path.parent}/chat.sh;; esac",
        "/bin/sh",
    )


def test_a_missing_binary_and_one_that_comes_back(bench: Making, tmp_path: Path) -> None:
    binary = tmp_path / "kiro-cli"
    made = bench(binary=binary)
    assert code(made.run("x")) == "kiro_missing"
    fake(binary, "exit 101")
    assert code(made.run("x")) == "crashed"


def test_a_login_check_that_hangs_delays_but_does_not_stop_a_prompt(
    bench: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = fake(tmp_path / "kiro-cli", "exit 0")
    text = binary.read_text().replace("echo Logged in", "sleep 1000")
    binary.write_text(text)
    made = bench(binary=binary)
    monkeypatch.setattr(made.transport._installation._login, "_timeout", 0.3)
    assert code(made.run("x")) == "no_answer"


def test_a_stop_while_the_login_is_asked(bench: Making, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    binary = fake(tmp_path / "kiro-cli", "exit 0")
    binary.write_text(binary.read_text().replace("echo Logged in", f"touch {asked}; sleep 1000"))
    made = bench(binary=binary)

    def stop() -> None:
        until(asked.exists)
        made.control.cancel()

    thread = threading.Thread(target=stop)
    thread.start()
    assert made.run("x") == [Ended("cancelled")]
    thread.join()


def test_a_flood_of_50_mb_is_read_and_not_kept(bench: Making, tmp_path: Path) -> None:
    made = bench(engine="v2", binary=fake(tmp_path / "kiro-cli", "head -c 50000000 /dev/zero | tr '\\0' 'x'", "2.4.0"))
    request = PromptRequest("x", made.cwd, None, None, time.time())
    size, largest = 0, 0
    for batch in made.transport.run(request, made.control):
        found = sum(len(event.text) for event in batch if isinstance(event, TextDelta))
        size, largest = size + found, max(largest, found)
    assert size == 50_000_000 and largest < 30_000_000


def test_what_the_store_says_after_a_crash_of_the_bridge_is_taken_in_and_the_run_is_ended(bench: Making) -> None:
    made = bench(grace=0.3)
    pid = Path(made.cwd) / "pid"
    prompt = f"!standin text recorded\n!standin tool shell echo $$ > {pid}; exec sleep 1000"
    request = PromptRequest(prompt, made.cwd, None, None, time.time())
    feed = made.transport.run(request, made.control)
    for batch in feed:
        if any(isinstance(event, ToolSeen) for event in batch):
            break
    assert alive(pid_in(pid))
    mark: Mapping[str, object] = made.control.marks[-1]
    events = made.transport.recover(request, mark)
    assert not alive(pid_in(pid)) and survivors.run_members(str(mark["run"])) == []
    assert recorded(list(events))[0] == "recorded"
    assert not [event for event in events if isinstance(event, Ended)]
    feed.close()  # type: ignore[attr-defined]


def test_many_turns_leave_no_descriptor_and_no_thread(bench: Making) -> None:
    made = bench()
    made.run("!standin text x")
    before = sorted(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(8):
        assert code(made.run("!standin text x")) == "completed"
    assert (sorted(os.listdir("/proc/self/fd")), threading.active_count()) == before


@pytest.mark.parametrize("mark", [{}, {"engine": "v9", "store": {}}, {"engine": "v2", "store": 3, "run": 5}])
def test_a_mark_that_means_nothing_gives_nothing(bench: Making, mark: dict[str, object]) -> None:
    made = bench()
    assert made.transport.recover(PromptRequest("x", made.cwd, None, None, 0.0), mark) == []
