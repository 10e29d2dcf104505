"""Turns, a busy refusal, a restart and a 1 MB answer, as Coder's own SDK sees them (facts/agentapi-contract.md 7.1).

The SDK ends a subscription at an event name it does not know (`agent_error` is one) and at an event of 128 KiB or more,
so each test also checks that its subscription is still there at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.whole.conftest import WAIT, Bridge, bridge

__all__ = ["bridge"]  # the fixture

SOURCE = Path(__file__).with_name("driver")
MODULES = ("github.com/coder/agentapi-sdk-go", "github.com/tmaxmax/go-sse")
GO = shutil.which("go")
HOME = os.environ.get("HOME", "")
"""Where Go keeps what it downloaded and built; read at import, before the run moves the home."""

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory, own_environment: None) -> Path:
    """Build the Go program; skip where there is no Go, or where the SDK can neither be found nor downloaded."""
    if GO is None:
        pytest.skip("the Go SDK is tested where a Go toolchain is in PATH")
    env = {**os.environ, "HOME": HOME, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}

    def go(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [GO, *words], cwd=SOURCE, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150
        )

    fetched = go("mod", "download", *MODULES)
    if fetched.returncode:
        why = (fetched.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"the Go SDK is tested where its module can be downloaded once: {why}")
    program = tmp_path_factory.mktemp("go") / "driver"
    built = go("build", "-o", str(program), ".")
    assert built.returncode == 0, built.stderr
    return program


class Sdk:
    """The running Go program; a context manager. `seen` is what subscriptions brought, as (name, value)."""

    def __init__(self, program: Path, url: str) -> None:
        self._process = subprocess.Popen(
            [program, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self.seen: list[tuple[str, Any]] = []
        self._answers: list[tuple[str, Any]] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Sdk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._reader.join(WAIT)
        self._process.stdout.close()
        self._process.wait(WAIT)

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            ((what, value),) = json.loads(line).items()
            with self._changed:
                (self._answers if what in ("answer", "error") else self.seen).append((what, value))
                self._changed.notify_all()

    def ask(self, do: str, text: str = "") -> tuple[str, Any]:
        """Send a command and return ("answer" or "error", value)."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": do, "text": text}) + "\n")
        self._process.stdin.flush()
        with self._changed:
            assert self._changed.wait_for(lambda: self._answers, WAIT), f"no answer to {do}"
            return self._answers.pop(0)

    def answer(self, do: str, text: str = "") -> Any:
        what, value = self.ask(do, text)
        assert what == "answer", value
        return value

    def wait(self, name: str, **fields: Any) -> int:
        """Wait until an event of that name with those fields has come; return how many events came up to it."""

        def place() -> int:
            for number, (what, value) in enumerate(self.seen):
                if what == name and all(value.get(key) == wanted for key, wanted in fields.items()):
                    return number + 1
            return 0

        found: int = self.until(place, f"{name} {fields}")
        return found

    def until(self, holds: Callable[[], Any], what: str) -> Any:
        """Wait until `holds` is true of what was seen, and return what it gave; AssertionError when it never is."""
        with self._changed:
            assert self._changed.wait_for(holds, WAIT), f"never came: {what}; last: {str(self.seen)[-3000:]}"
            return holds()

    def ended(self) -> list[str]:
        """Return why subscriptions ended, each that did."""
        with self._changed:
            return [value for what, value in self.seen if what == "ended"]

    def messages(self) -> list[tuple[str, str]]:
        return [(message["role"], message["content"]) for message in self.answer("messages")["messages"]]


@pytest.fixture(params=["acp", "headless"])
def sdk(driver: Path, bridge: Bridge, request: pytest.FixtureRequest) -> Iterator[Sdk]:
    """Give the SDK, subscribed to a bridge that has just started, over each transport."""
    bridge.env["KIRO_BRIDGE_TRANSPORT"] = request.param
    bridge.start()
    with Sdk(driver, bridge.url) as running:
        running.answer("subscribe")
        running.wait("status_change", status="stable")
        yield running
        bridge.stop()


def turn(sdk: Sdk, bridge: Bridge, *lines: str) -> None:
    """Run a turn to the event that says that the bridge is free again."""
    assert sdk.answer("post", "\n".join(lines))["ok"] is True
    bridge.settled()
    last = bridge.messages()[-1]["id"]
    done = sdk.wait("message_update", id=last)
    sdk.until(lambda: ("status_change", "stable") in [(w, v.get("status")) for w, v in sdk.seen[done:]], "stable")


def test_turns(sdk: Sdk, bridge: Bridge) -> None:
    """Ids rise, roles alternate, status goes running and stable, and what is subscribed to is what is listed."""
    for number in range(3):
        turn(sdk, bridge, f"!standin text Answer {number}.", "!standin tool shell echo hi")
    listed = sdk.answer("messages")["messages"]
    assert [message["role"] for message in listed] == ["user", "agent"] * 3
    assert [message["id"] for message in listed] == sorted({message["id"] for message in listed})
    told = {value["id"]: value["message"] for what, value in sdk.seen if what == "message_update"}
    assert told == {message["id"]: message["content"] for message in listed}
    changes = [value["status"] for what, value in sdk.seen if what == "status_change"]
    assert changes == ["stable", *["running", "stable"] * 3]
    assert sdk.answer("status")["status"] == "stable"
    assert {what for what, _ in sdk.seen} == {"message_update", "status_change"}


def test_a_busy_refusal(sdk: Sdk, bridge: Bridge) -> None:
    """A prompt during a turn is an error of the SDK that says why, and leaves no message."""
    assert sdk.answer("post", "!standin text One.\n!standin sleep 60")["ok"] is True
    sdk.wait("status_change", status="running")
    what, why = sdk.ask("post", "Two.")
    assert what == "error"
    assert "message can only be sent when the agent is waiting for user input" in why
    assert [role for role, _ in sdk.messages()].count("user") == 1
    assert bridge.post("\x1b", "raw").status_code == 200
    bridge.settled()
    turn(sdk, bridge, "!standin text Three.")
    assert sdk.messages()[-1] == ("agent", "Three.")
    assert not sdk.ended()


def test_a_failed_turn_does_not_end_the_subscription(sdk: Sdk, bridge: Bridge) -> None:
    """Failures are told in the answer: the event `agent_error` would end what the SDK follows."""
    assert sdk.answer("post", "!standin fault die")["ok"] is True
    bridge.settled()
    turn(sdk, bridge, "!standin text Better.")
    assert not sdk.ended()


def test_an_answer_of_a_megabyte(sdk: Sdk, bridge: Bridge) -> None:
    """It arrives cut in the event, where the SDK takes no more than 128 KiB, and whole in the list."""
    turn(sdk, bridge, f"!standin size {MEGABYTE}")
    role, content = sdk.messages()[-1]
    assert (role, len(content.encode())) == ("agent", MEGABYTE)
    events = [value["message"] for what, value in sdk.seen if what == "message_update" and value["role"] == "agent"]
    assert len(json.dumps(events[-1])) < 128 * 1024 and events[-1][:50_000] == content[:50_000]
    assert not sdk.ended()
    sdk.seen.clear()
    sdk.answer("subscribe")  # the replay holds the long message too
    sdk.wait("status_change", status="stable")
    assert not sdk.ended()


def test_a_restart(sdk: Sdk, bridge: Bridge) -> None:
    """A killed bridge ends the subscription; the next one brings the same conversation, and goes on with it."""
    turn(sdk, bridge, "!standin text Before.")
    assert sdk.answer("post", "!standin text Half.\n!standin sleep 60")["ok"] is True
    sdk.wait("status_change", status="running")
    before = sdk.messages()[:3]
    bridge.kill()
    sdk.until(lambda: any(what == "ended" for what, _ in sdk.seen), "the end of the stream")
    assert sdk.ask("status")[0] == "error"
    bridge.start("--port", str(urlsplit(bridge.url).port))
    sdk.seen.clear()
    sdk.answer("subscribe")
    sdk.wait("status_change", status="stable")
    assert sdk.messages()[:3] == before
    turn(sdk, bridge, "!standin text After.")
    assert sdk.messages()[-1] == ("agent", "After.")
    assert not sdk.ended()
