"""Between two turns: one warm process per session, bounded in number, quiet, and left in peace or ended politely."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from bridge.core.feed import ApprovalAsked, Engine, FeedEvent, MessageRecorded, Notice
from bridge.core.records import SessionOptions
from bridge.engine.control import Control
from bridge.errors import RequestRefused
from bridge.kiro.acp_opening import Patience
from bridge.kiro.acp_places import Places
from bridge.kiro.command import LaunchOptions

from ..runner.scripts import alive, until
from .agents import ACP_HELP, DONE, agent, ordinary
from .conftest import Making, by_kind

ENGINES: tuple[Engine, ...] = ("v2", "v3")
engines = pytest.mark.parametrize("engine", ENGINES)


def starts(folder: Path) -> list[list[str]]:
    """The arguments of each start of an agent of ours."""
    return [json.loads(line) for line in (folder / "starts").read_text().splitlines()]


@engines
def test_a_process_that_is_idle_ends_and_comes_back(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine, idle=0.2)
    talk.run("!standin text one")
    first, kiro_id = talk.pid, talk.kiro_id
    assert first is not None
    until(lambda: talk.pid is None)
    assert not alive(first)
    assert talk.transport.surface().agents, "what it offered is still known"
    talk.run("!standin about")
    assert talk.kiro_id == kiro_id and "turns=1" in talk.answer_text()


@engines
def test_doing_nothing_costs_nothing(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)
    talk.run("!standin text one")
    thread = next(one for one in threading.enumerate() if one.name.startswith("acp-idle"))
    until(lambda: Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rpartition(")")[2].split()[0] == "S")
    stat = Path(f"/proc/self/task/{thread.native_id}/stat")
    before = stat.read_text().split()[13:15]
    time.sleep(1.0)
    assert stat.read_text().split()[13:15] == before


@engines
def test_the_process_that_was_idle_longest_goes_for_another(conversation: Making, engine: Engine) -> None:
    places = conversation.places(2)
    talks = [conversation(engine, places=places, folder=f"work{number}") for number in range(3)]
    for talk in talks:
        assert talk.outcome("!standin text x").outcome == "completed"
    assert talks[0].pid is None and talks[1].pid is not None and talks[2].pid is not None
    assert talks[0].outcome("!standin about").outcome == "completed" and "turns=1" in talks[0].answer_text()
    assert talks[1].pid is None


def test_one_that_works_is_not_ended_for_another(conversation: Making) -> None:
    places = conversation.places(1)
    busy, waiting = (conversation("v2", places=places, folder=f"work{number}") for number in range(2))
    asked, finish = threading.Event(), threading.Event()

    def hold(event: FeedEvent, control: Control) -> None:
        if isinstance(event, ApprovalAsked):
            asked.set()
            finish.wait(30)

    told = threading.Event()

    def tell(event: FeedEvent, control: Control) -> None:
        if isinstance(event, Notice) and event.key == "no_place":
            told.set()

    ends: list[str] = []
    first = threading.Thread(
        target=lambda: ends.append(
            busy.outcome("!standin ask shell echo hi", when=hold, answer=by_kind("allow_once")).outcome
        )
    )
    first.start()
    assert asked.wait(60)
    with pytest.raises(RequestRefused, match="acp_processes") as refused:
        waiting.transport.command(waiting.request(""), "/context", "")
    assert refused.value.problem.code == "agent_busy"
    second = threading.Thread(target=lambda: ends.append(waiting.outcome("!standin text x", when=tell).outcome))
    second.start()
    assert told.wait(60) and waiting.pid is None, "what it waits for is said"
    finish.set()
    first.join(60)
    second.join(60)
    assert ends == ["completed", "completed"]


def test_waiting_for_a_place_can_be_stopped(conversation: Making) -> None:
    places = conversation.places(1)
    assert places.take("somebody", lambda: False, None)
    assert conversation("v2", places=places).outcome("!standin text x", cancel_after=0.3).outcome == "cancelled"
    places.give("somebody")


@engines
def test_late_words_are_no_part_of_the_next_answer(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)
    talk.run("!standin fault late-frames\n!standin text first")
    assert talk.answer_text() == "first"
    talk.run("!standin text second")
    said = [item for item in talk.of_kind("text") if not item.key.startswith("between:")]
    assert [item.text for item in said if "agent" not in item.data] == ["second"]


@engines
def test_a_turn_that_nobody_prompted(conversation: Making, engine: Engine) -> None:
    """It is shown once: with the turn before, if the store was quick, else with the next one."""
    talk = conversation(engine)
    talk.run("!standin fault unprompted ON-ITS-OWN\n!standin text first")
    shown = [item.text for item in talk.of_kind("text")]
    for _ in range(3):
        time.sleep(0.5)  # Kiro goes on meanwhile; there is nothing of ours to wait for
        talk.run("!standin text next")
        shown += [item.text for item in talk.of_kind("text")]
    assert sum("ON-ITS-OWN" in text for text in shown) == 1
    assert [text for text in shown if "ON-ITS-OWN" not in text] == ["first", "next", "next", "next"]


def test_a_sub_agent_that_asks_after_the_turn_is_not_dropped(conversation: Making) -> None:
    """What came while nobody ran is asked in the next turn, and the process is not ended meanwhile."""
    talk = conversation("v2", idle=0.2)
    talk.run("!standin spawn probe ask shell touch asked-for\n!standin text first")
    agent_ = talk.seat.agent
    assert agent_ is not None
    until(lambda: bool(agent_.asked) or talk.of_kind("approval"))
    time.sleep(0.5)
    assert talk.pid is not None, "a process that waits for a person stays"
    events = talk.run("!standin text second\n!standin sleep 0.5", answer=by_kind("allow_once"))
    asked = [event for event in events if isinstance(event, ApprovalAsked)]
    assert asked and asked[0].agent is not None and "asked-for" in asked[0].text
    until(lambda: (Path(talk.cwd) / "asked-for").exists())


def test_what_a_killed_bridge_left_behind(tmp_path: Path) -> None:
    folder = tmp_path / "places"
    folder.mkdir()
    (folder / "0123456789abcdef").touch()
    import subprocess

    left = subprocess.Popen(["sleep", "600"], env={**os.environ, "BRIDGE_RUN_ID": "0123456789abcdef"})
    Places(3, folder).end_leftovers(0.5)
    assert left.wait(30) != 0
    assert not list(folder.iterdir())


@engines
def test_the_surface_is_what_kiro_said(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)
    assert not talk.transport.surface().agents
    talk.run("!standin text x")
    surface = talk.transport.surface()
    assert any(choice.current for choice in surface.agents) and any(choice.current for choice in surface.models)
    assert {"approvals", "agent", "model", "steer", "commands"} == surface.features


@engines
def test_another_model_in_a_running_session(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)
    talk.run("!standin text x")
    models = talk.transport.surface().models
    other = next(choice.id for choice in models if not choice.current)
    talk.options = SessionOptions(model=other)
    talk.run("!standin about")
    assert f"model={other}" in talk.answer_text()
    talk.options = SessionOptions(model="no-such-model")
    events = talk.run("!standin text x")
    assert any(isinstance(event, Notice) and "no-such-model" in event.text for event in events)


def test_another_agent_from_the_start(conversation: Making) -> None:
    talk = conversation("v2", options=LaunchOptions(agent="kiro_planner"))
    talk.run("!standin about")
    assert "agent=kiro_planner" in talk.answer_text()
    talk = conversation("v2", options=LaunchOptions(agent="nobody"))
    assert any(isinstance(event, Notice) and "nobody" in event.text for event in talk.run("!standin text x"))


def test_commands_of_kiros_own(conversation: Making) -> None:
    talk = conversation("v2")
    assert "Context" in talk.transport.command(talk.request(""), "/context", "")
    names = {command.name for command in talk.transport.surface().commands}
    assert "/model" in names and not names & {"/quit", "/chat", "/rewind"}
    with pytest.raises(RequestRefused, match="no command /nonsense"):
        talk.transport.command(talk.request(""), "/nonsense", "")
    talk.run("!standin text x")
    model = next(choice.id for choice in talk.transport.surface().models if not choice.current)
    assert model in talk.transport.command(talk.request(""), "/model", model)
    with pytest.raises(RequestRefused):
        talk.transport.command(talk.request(""), "/agent", "nobody at all")


def test_commands_of_v3(conversation: Making) -> None:
    talk = conversation("v3")
    talk.run("!standin text x")
    assert talk.transport.command(talk.request(""), "/compact", "")
    other = next(one.name for one in talk.transport.surface().commands if one.name != "/compact")
    with pytest.raises(RequestRefused, match="as a message"):
        talk.transport.command(talk.request(""), other, "")


def test_no_command_while_it_works(conversation: Making) -> None:
    talk = conversation("v2")
    refusals: list[str] = []

    def ask(event: FeedEvent, control: Control) -> None:
        if isinstance(event, ApprovalAsked):
            with pytest.raises(RequestRefused) as refused:
                talk.transport.command(talk.request(""), "/context", "")
            refusals.append(refused.value.problem.code)

    talk.run("!standin ask shell echo hi", when=ask, answer=by_kind("allow_once"))
    assert refusals == ["agent_busy"]


def test_a_prompt_behind_a_command_can_be_stopped(conversation: Making, tmp_path: Path) -> None:
    """A command that hangs is waited for, but not by a prompt that was stopped."""
    hung = tmp_path / "hung"
    listed = "availableCommands=[{'name': '/context', 'description': 'x'}]"
    say = f"update(params['sessionId'], sessionUpdate='available_commands_update', {listed})\n{DONE}"
    hang = f"elif (method or '').endswith('execute'):\n        open({str(hung)!r}, 'w')\n    elif method is None:"
    body = ordinary(say).replace("elif method is None:", hang)
    talk = conversation("v2", binary=agent(tmp_path / "a", body), patience=Patience(command=5.0), grace=0.3)
    talk.run("x")
    refusals: list[str] = []

    def command() -> None:
        with pytest.raises(RequestRefused) as refused:
            talk.transport.command(talk.request(""), "/context", "")
        refusals.append(refused.value.problem.code)

    thread = threading.Thread(target=command)
    thread.start()
    until(hung.exists)
    assert talk.outcome("y", cancel_after=0.1).outcome == "cancelled"
    assert thread.is_alive(), "the prompt did not wait for the command"
    thread.join(60)
    assert refusals == ["command_failed"]


TOKEN = """
send(id=0, method="_kiro/auth/getAccessToken", params={})
""" + ordinary(DONE, "open(HERE + '/said', 'a').write(json.dumps(call))")


def test_v3_that_wants_a_token_runs_without_acp(conversation: Making, tmp_path: Path) -> None:
    """The token is refused, a notice says so, and this prompt and all later ones run headless."""
    folder = tmp_path / "a"
    flags = ACP_HELP + "      --auth-method <AUTH_METHOD>\n          [possible values: cli]\n"
    binary = agent(
        folder, f"if sys.argv[1] == 'chat':\n    print('> headless answer'); sys.exit()\n{TOKEN}", help_of_acp=flags
    )
    talk = conversation("v3", binary=binary, wish="auto")
    for number in range(2):
        events = talk.run("x")
        notices = [event.text for event in events if isinstance(event, Notice) and event.key == "without_acp"]
        assert [("token" in text) for text in notices] == ([True] if number == 0 else [])
        assert talk.transport.kind == "headless"
    assert [arguments[0] for arguments in starts(folder)] == ["acp", "chat", "chat"]
    assert "accessToken" not in (folder / "said").read_text() if (folder / "said").exists() else True


def test_v3_is_not_started_where_it_would_want_a_token(conversation: Making, tmp_path: Path) -> None:
    binary = agent(tmp_path / "a", "sys.exit(1)")
    ended = conversation("v3", binary=binary, wish="acp").outcome("x")
    assert ended.problem is not None and ended.problem.code == "acp_unavailable" and "token" in ended.problem.cause


def test_a_kiro_cli_without_acp(conversation: Making, tmp_path: Path) -> None:
    body = "print('> answer')"
    talk = conversation("auto", binary=agent(tmp_path / "a", body, help_of_acp=""), wish="auto")
    events = talk.run("x")
    assert talk.transport.kind == "headless"
    (notice,) = [event for event in events if isinstance(event, Notice) and event.key == "without_acp"]
    assert "refused" in notice.text
    assert not any(isinstance(event, Notice) and event.key == "without_acp" for event in talk.run("x"))


def test_what_is_said_of_a_start(conversation: Making, tmp_path: Path) -> None:
    """The engine is pinned, nothing is offered, and the client says who it is."""
    folder = tmp_path / "a"
    body = ordinary(f"say(params['sessionId'], 'hi')\n{DONE}").replace(
        "send(id=number, result=INITIALIZED)",
        "open(HERE + '/initialize', 'w').write(json.dumps(params)); send(id=number, result=INITIALIZED)",
    )
    talk = conversation("v2", binary=agent(folder, body), options=LaunchOptions(model="m1"))
    assert talk.outcome("x").outcome == "completed"
    assert starts(folder) == [["acp", "--agent-engine", "v2", "--model=m1"]]
    said = json.loads((folder / "initialize").read_text())
    assert said["clientCapabilities"]["terminal"] is False and said["protocolVersion"] == 1
    assert said["clientCapabilities"]["fs"] == {"readTextFile": False, "writeTextFile": False}


def test_the_end_is_polite(conversation: Making, tmp_path: Path) -> None:
    """The input is closed first: a process that goes by itself gets no signal."""
    folder = tmp_path / "a"
    body = (
        "def signalled(*_):\n    open(HERE + '/signalled', 'w').write('x')\n    sys.exit(1)\n"
        "for one in (signal.SIGINT, signal.SIGTERM): signal.signal(one, signalled)\n"
        + ordinary(f"say(params['sessionId'], 'hi')\n{DONE}")
        + "\nopen(HERE + '/left', 'w').write('x')\n"
    )
    talk = conversation("v2", binary=agent(folder, body))
    talk.run("x")
    talk.transport.close()
    assert (folder / "left").exists() and not (folder / "signalled").exists()


def test_the_mark_finds_the_run_again(conversation: Making) -> None:
    """After a crash of the bridge the turn's record is read from Kiro's store and what still runs is ended."""
    talk = conversation("v2")
    talk.run("!standin text remembered")
    request = talk.request("!standin text remembered")
    events = talk.transport.recover(request, talk.marks[-1])
    assert [event.text for event in events if isinstance(event, MessageRecorded)] == ["remembered"]
    assert talk.pid is None or not alive(talk.pid) or talk.seat.agent is None or talk.seat.agent.gone
