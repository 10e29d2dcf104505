"""How turns end over ACP, by stops, crashes, silence: one terminal event, nobody left behind, the next prompt works."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.core.feed import ApprovalAsked, ApprovalClosed, Engine, FeedEvent, Notice, TextDelta, ToolSeen
from bridge.engine.control import Control
from bridge.kiro import survivors
from bridge.kiro.acp_opening import Patience
from bridge.kiro.command import LaunchOptions

from ..runner.scripts import alive, until
from .agents import DONE, agent, ordinary
from .conftest import Conversation, Making, by_kind

ENGINES: tuple[Engine, ...] = ("v2", "v3")
engines = pytest.mark.parametrize("engine", ENGINES)
ALL = LaunchOptions(trust_all_tools=True)


def run_id(talk: Conversation) -> str:
    return str(talk.marks[-1]["run"])


def members(talk: Conversation) -> list[int]:
    return [pid for pid in survivors.run_members(run_id(talk)) if alive(pid)]


@engines
def test_stopping_while_it_speaks(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)

    def stop(event: FeedEvent, control: Control) -> None:
        if isinstance(event, TextDelta):
            control.cancel()

    talk.run("!standin text before")
    pid = talk.pid
    ended = talk.outcome("!standin text some words\n!standin sleep 30\n!standin text more", when=stop)
    assert ended.outcome == "cancelled" and ended.problem is None
    assert talk.pid == pid, "a stop that the agent heard leaves it warm"
    assert talk.outcome("!standin text again").outcome == "completed" and "again" in talk.answer_text()


@engines
def test_stopping_a_tool(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine, options=ALL)

    def stop(event: FeedEvent, control: Control) -> None:
        if isinstance(event, ToolSeen) and event.status == "running":
            control.cancel()

    ended = talk.outcome("!standin tool shell sleep 60", when=stop)
    assert ended.outcome == "cancelled"
    assert talk.of_kind("tool")[0].data["status"] in ("cancelled", "failed", "completed")
    assert len(members(talk)) <= 2, "the tool did not end with its turn"
    assert talk.outcome("!standin text again").outcome == "completed"


@engines
def test_stopping_while_it_asks(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)

    def stop(event: FeedEvent, control: Control) -> None:
        if isinstance(event, ApprovalAsked):
            control.cancel()

    events = talk.run("!standin ask shell touch made", when=stop)
    assert [event.status for event in events if isinstance(event, ApprovalClosed)] == ["interrupted"]
    assert talk.of_kind("approval")[0].data["status"] == "interrupted"
    assert not (Path(talk.cwd) / "made").exists()
    assert talk.outcome("!standin text again").outcome == "completed"


@pytest.mark.timeout(1200)
@engines
def test_stopping_at_any_moment(
    conversation: Making, engine: Engine, often: Callable[[int, int], int], record_property: Callable[..., None]
) -> None:
    """10 random moments, 100 with --long, from before the process has started to after the answer."""
    seed = int(os.environ.get("BRIDGE_TEST_SEED", "20261120"))
    record_property("seed", seed)
    chance = random.Random(seed)
    talk = conversation(engine, options=ALL, KIRO_STANDIN_TOKEN_DELAY="0.01")
    prompt = "!standin chunks 20\n!standin text one two three\n!standin tool shell sleep 0.2"
    outcomes = []
    for number in range(often(10, 100)):
        outcomes.append(talk.outcome(prompt, cancel_after=chance.uniform(0.0, 1.2)).outcome)
        assert outcomes[-1] in ("cancelled", "completed")
        if number % 5 == 4:
            assert talk.outcome("!standin text still here").outcome == "completed"
            assert talk.answer_text() == "still here"
    talk.transport.close()
    assert not members(talk)


@engines
def test_deaf_to_a_stop(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine, grace=0.3)

    def stop(event: FeedEvent, control: Control) -> None:
        if isinstance(event, TextDelta):
            control.cancel()

    ended = talk.outcome("!standin fault deaf-to-cancel\n!standin text said\n!standin sleep 60\n", when=stop)
    assert ended.outcome == "cancelled"
    assert not members(talk) and talk.pid is None
    assert talk.outcome("!standin about").outcome == "completed"
    assert "turns=" in talk.answer_text()


@engines
def test_a_crash_in_mid_turn(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)
    talk.run("!standin text remember me")
    first, kiro_id = talk.pid, talk.kiro_id

    def kill(event: FeedEvent, control: Control) -> None:
        if isinstance(event, TextDelta) and first is not None and alive(first):
            for pid in survivors.run_members(run_id(talk)):
                os.kill(pid, signal.SIGKILL)

    ended = talk.outcome("!standin text half\n!standin sleep 60", when=kill)
    assert ended.outcome == "failed" and ended.problem is not None and ended.problem.code == "killed"
    assert talk.outcome("!standin about").outcome == "completed"
    assert talk.pid != first and talk.kiro_id == kiro_id
    assert "turns=" in talk.answer_text() and "turns=0" not in talk.answer_text()


@engines
def test_a_store_that_is_deleted(conversation: Making, engine: Engine) -> None:
    """Under an agent that is kept: the prompt after one that failed for it works."""
    talk = conversation(engine)
    assert talk.outcome("!standin text first").outcome == "completed"
    shutil.rmtree(Path(os.environ["HOME"]) / ".kiro/sessions")
    second = talk.outcome("!standin text second")
    assert second.outcome == ("failed" if engine == "v2" else "completed")
    assert talk.outcome("!standin text third").outcome == "completed" and talk.answer_text() == "third"


@engines
def test_a_crash_between_asking_and_answer(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)
    ended = talk.outcome("!standin fault die-asking")
    assert ended.outcome == "failed" and ended.problem is not None
    assert all(item.data["status"] == "interrupted" for item in talk.of_kind("approval"))
    assert talk.outcome("!standin text again").outcome == "completed"


@engines
def test_an_answer_that_nothing_follows(conversation: Making, engine: Engine) -> None:
    """The agent goes silent after the answer: only a person can end that, and then it ends."""
    talk = conversation(engine, grace=0.3)

    def stop(event: FeedEvent, control: Control) -> None:
        if isinstance(event, ApprovalClosed):
            control.cancel()

    prompt = "!standin fault permission-lost\n!standin ask shell echo hi\n!standin text never"
    assert talk.outcome(prompt, answer=by_kind("allow_once"), when=stop).outcome == "cancelled"
    assert talk.outcome("!standin text again").outcome == "completed"


@engines
@pytest.mark.parametrize("fault", ["mute", "close-stdout"])
def test_not_one_more_word(conversation: Making, engine: Engine, fault: str) -> None:
    """Silence ends nothing by itself; a stop does, and takes the whole tree along."""
    talk = conversation(engine, grace=0.3)

    def stop(event: FeedEvent, control: Control) -> None:
        if isinstance(event, TextDelta):
            control.cancel()

    prompt = f"!standin text half\n!standin fault {fault}\n!standin sleep 60"
    assert talk.outcome(prompt, when=stop).outcome == "cancelled"
    assert not members(talk)
    assert talk.outcome("!standin text again").outcome == "completed"


def test_output_that_is_closed(conversation: Making, tmp_path: Path) -> None:
    body = ordinary("say(params['sessionId'], 'half'); os.close(1); time.sleep(600)")
    talk = conversation("v2", binary=agent(tmp_path / "a", body), grace=0.3)
    ended = talk.outcome("x")
    assert ended.outcome == "failed" and not members(talk) and talk.answer_text() == "half"


@engines
@pytest.mark.parametrize("fault", ["garbage", "unknown-update", "answer-twice", "split 3", "burst"])
def test_what_is_strange_harms_nothing(conversation: Making, engine: Engine, fault: str) -> None:
    talk = conversation(engine)
    for number in range(2):
        ended = talk.outcome(f"!standin fault {fault}\n!standin chunks 5\n!standin text answer {number} é👩‍💻")
        assert ended.outcome == "completed", ended.problem
        assert talk.answer_text() == f"answer {number} é👩‍💻"


@engines
def test_an_unknown_request_is_refused(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)
    assert talk.outcome("!standin fault unknown-request").outcome == "completed"
    assert "-32601" in talk.answer_text()


@engines
@pytest.mark.parametrize("method", ["initialize", "session/new"])
def test_a_start_that_hangs(conversation: Making, engine: Engine, method: str) -> None:
    patience = Patience(initialize=1.5, session=1.5)
    talk = conversation(engine, patience=patience, grace=0.3, KIRO_STANDIN_FAULT=f"hang-at {method}")
    ended = talk.outcome("!standin text x")
    assert ended.problem is not None and ended.problem.code == "kiro_silent" and method in ended.problem.cause
    assert talk.pid is None


@engines
def test_a_start_that_hangs_can_be_stopped(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine, grace=0.3, KIRO_STANDIN_FAULT="hang-at session/new")
    began = time.monotonic()
    assert talk.outcome("!standin text x", cancel_after=1.0).outcome == "cancelled"
    assert time.monotonic() - began < 30


@engines
def test_a_load_that_hangs(conversation: Making, engine: Engine) -> None:
    """The turn fails and says what comes; the prompt after it begins anew instead of hanging again."""
    first = conversation(engine)
    first.run("!standin text said before")
    first.transport.close()
    talk = conversation(engine, patience=Patience(load=1.0), grace=0.3, KIRO_STANDIN_FAULT="hang-at session/load")
    talk.kiro_id, talk.engine = first.kiro_id, first.engine
    ended = talk.outcome("!standin text x")
    assert ended.problem is not None and ended.problem.code == "resume_lost"
    events = talk.run("!standin text begun anew")
    assert any(isinstance(event, Notice) and event.key == "conversation_lost" for event in events)
    assert talk.answer_text() == "begun anew" and talk.kiro_id != first.kiro_id


@engines
def test_a_crash_at_the_start(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine, grace=0.3, KIRO_STANDIN_FAULT="die-at session/new")
    ended = talk.outcome("!standin text x")
    assert ended.outcome == "failed" and ended.problem is not None and ended.problem.code == "killed"


@engines
def test_a_prompt_that_is_answered_with_an_error(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine, KIRO_STANDIN_FAULT="error-at session/prompt")
    ended = talk.outcome("!standin text x")
    assert ended.problem is not None and ended.problem.code == "run_error" and "fails as asked" in ended.problem.cause


@pytest.mark.parametrize(("fault", "code"), [("stall-error", "response_timeout"), ("rate-limit", "throttled")])
def test_errors_with_a_name(conversation: Making, fault: str, code: str) -> None:
    talk = conversation("v2")
    ended = talk.outcome(f"!standin fault {fault}\n!standin text x")
    assert ended.problem is not None and ended.problem.code == code
    assert talk.of_kind("notice")


def test_a_process_that_leaves_children_behind(conversation: Making, tmp_path: Path) -> None:
    """What a stopped turn started and left running ends with it."""
    mark = tmp_path / "child"
    body = ordinary(
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True, stdin=-3, stdout=-3, stderr=-3)\n"
        f"open({str(mark)!r}, 'w').write(str(child.pid) + chr(10))\n"
        "say(params['sessionId'], 'started')\n"
        "for later in calls():\n"
        "    if later.get('method') == 'session/cancel':\n"
        "        send(id=number, result={'stopReason': 'cancelled'}); break"
    )
    talk = conversation("v2", binary=agent(tmp_path / "a", body), grace=0.5)

    def stop(event: FeedEvent, control: Control) -> None:
        if isinstance(event, TextDelta):
            until(lambda: mark.exists() and mark.read_text().endswith("\n"))
            control.cancel()

    assert talk.outcome("x", when=stop).outcome == "cancelled"
    assert not alive(int(mark.read_text()))


def test_a_lock_that_goes(conversation: Making, tmp_path: Path) -> None:
    """`Session is active in another process` right after a crash is waited for (facts/kiro-cli.md 6.2)."""
    body = ordinary(f"say(params['sessionId'], 'hi')\n{DONE}").replace(
        "send(id=number, result={})",
        "tries = globals().get('tries', 0) + 1\n"
        "        text = 'Session is active in another process (PID 999999999)'\n"
        "        send(id=number, result={}) if tries > 2 else send(id=number, error={'code': -32603, 'message': text})",
    )
    talk = conversation("v2", binary=agent(tmp_path / "a", body))
    assert talk.outcome("x").outcome == "completed"
    talk.seat.suspend()
    _record(talk)
    events = talk.run("y")
    assert not any(isinstance(event, Notice) and event.key == "conversation_lost" for event in events)


@pytest.mark.parametrize("owner", ["dead", "alive"])
def test_a_lock_that_stays(conversation: Making, tmp_path: Path, owner: str) -> None:
    pid = 999999999 if owner == "dead" else os.getpid()
    body = ordinary(f"say(params['sessionId'], 'hi')\n{DONE}").replace(
        "send(id=number, result={})",
        f"send(id=number, error={{'code': -32603, 'message': 'Internal error', "
        f"'data': 'Session is active in another process (PID {pid})'}})",
    )
    talk = conversation("v2", binary=agent(tmp_path / "a", body), patience=Patience(lock=0.3), grace=0.3)
    assert talk.outcome("x").outcome == "completed"
    talk.seat.suspend()
    _record(talk)
    events = talk.run("y")
    lost = any(isinstance(event, Notice) and event.key == "conversation_lost" for event in events)
    if owner == "dead":
        assert lost and talk.answer_text() == "hi"
    else:
        problem = getattr(events[-1], "problem", None)
        assert problem is not None and problem.code == "session_in_use" and str(pid) in problem.cause


def _record(talk: Conversation) -> None:
    """Make as if Kiro's store held the conversation."""
    folder = Path(os.environ["HOME"]) / ".kiro/sessions/cli"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{talk.kiro_id}.jsonl").touch()
