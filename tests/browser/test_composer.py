"""Where the prompt is written: keys, drafts, history, files, commands, the queue, stop."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Route, expect

from tests.browser.conftest import OpenChat, ask, ready, send, until
from tests.whole.conftest import Bridge

COMPOSING = """() => { const box = document.getElementById('prompt');
box.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true, cancelable: true}));
box.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', keyCode: 229, bubbles: true, cancelable: true})); }"""


def test_keys_drafts_and_history(bridge: Bridge, open_chat: OpenChat) -> None:
    """Shift+Enter makes a line, an input method's Enter sends nothing, a draft outlives a reload, arrow up recalls."""
    bridge.start()
    page = open_chat()
    ready(page)
    page.fill("#prompt", "one")
    page.press("#prompt", "Shift+Enter")
    page.keyboard.type("two")
    page.evaluate(COMPOSING)
    assert page.input_value("#prompt") == "one\ntwo"
    assert bridge.turns() == []
    until(page, "localStorage.length > 0")
    page.reload()
    ready(page)
    assert page.input_value("#prompt") == "one\ntwo"
    ask(page, "!standin text first")
    ask(page, "!standin text second")
    page.press("#prompt", "ArrowUp")
    assert page.input_value("#prompt") == "!standin text second"
    page.press("#prompt", "ArrowUp")
    assert page.input_value("#prompt") == "!standin text first"
    page.press("#prompt", "ArrowDown")
    assert page.input_value("#prompt") == "!standin text second"


def test_files_go_into_the_session(bridge: Bridge, open_chat: OpenChat, tmp_path: Path) -> None:
    """A chosen file and a pasted picture arrive, each with its result, and are named in the prompt."""
    bridge.start()
    page = open_chat(360, 640)
    ready(page)
    expect(page.locator("#open-files")).to_be_visible()
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    page.set_input_files("#attach input", tmp_path / "data.csv")
    page.evaluate(
        """() => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array([1, 2, 3])], 'shot.png', {type: 'image/png'}));
        document.getElementById('prompt').dispatchEvent(new ClipboardEvent('paste', {clipboardData: data})); }"""
    )
    expect(page.locator(".upload")).to_have_count(2)
    expect(page.locator(".upload .spinner")).to_have_count(0)
    ask(page, "!standin text got them")
    assert "data.csv" in bridge.turns()[0]["prompt"]
    assert "shot.png" in bridge.turns()[0]["prompt"]
    assert list(bridge.work.rglob("data.csv"))
    expect(page.locator(".upload")).to_have_count(0)
    page.click("#open-files")
    page.locator("#files .file-row", has_text="data.csv").click()
    expect(page.locator("#files td", has_text="2")).to_be_visible()
    expect(page.locator("#files").get_by_role("link", name="Download")).to_be_visible()


def test_files_are_dropped(bridge: Bridge, open_chat: OpenChat) -> None:
    """While something is dragged over the page it says where to; what is dropped arrives, one file by one."""
    bridge.start()
    page = open_chat()
    ready(page)
    expect(page.locator("#open-files")).to_be_visible()
    drag = """name => { const data = new DataTransfer();
        for (const file of ['one.txt', 'two.txt']) data.items.add(new File([file], file, {type: 'text/plain'}));
        document.getElementById('turns').dispatchEvent(
        new DragEvent(name, {dataTransfer: data, bubbles: true, cancelable: true})); }"""
    page.evaluate(drag, "dragenter")
    expect(page.locator("#drop-shade")).to_be_visible()
    page.evaluate(drag, "dragleave")
    expect(page.locator("#drop-shade")).to_be_hidden()
    page.evaluate(drag, "dragenter")
    page.evaluate(drag, "drop")
    expect(page.locator("#drop-shade")).to_be_hidden()
    expect(page.locator(".upload .spinner")).to_have_count(0)
    expect(page.locator(".upload")).to_have_count(2)
    page.get_by_role("button", name="Remove two.txt").click()
    ask(page, "!standin text got it")
    prompt = bridge.turns()[0]["prompt"]
    assert "one.txt" in prompt and "two.txt" not in prompt


def test_a_message_goes_into_the_running_turn(bridge: Bridge, open_chat: OpenChat) -> None:
    """`Send now` is there while a turn runs and Kiro can take it; nothing is queued then."""
    bridge.start(KIRO_BRIDGE_TRUST_ALL_TOOLS="false")
    page = open_chat()
    ready(page)
    ask(page, "!standin text hello")
    expect(page.locator("#steer")).to_be_hidden()
    send(page, "!standin ask shell echo one", "!standin text end")
    page.locator("#turns .approval.pending").wait_for()
    page.fill("#prompt", "left, please")
    page.get_by_role("button", name="Send now").click()
    until(page, "document.getElementById('prompt').value === ''")
    expect(page.locator("#queue")).to_be_hidden()
    page.keyboard.press("Alt+y")
    expect(page.locator("#turns")).to_contain_text("left, please")
    assert len(bridge.turns()) == 2


def test_mentions_and_commands(bridge: Bridge, open_chat: OpenChat) -> None:
    """`@` finds files, `/` lists Kiro's commands with what they do, and one of them runs."""
    (bridge.work / "module_main.py").write_text("print(1)\n")
    bridge.start()
    page = open_chat()
    ready(page)
    ask(page, "!standin text hello")
    page.locator("#prompt").press_sequentially("look at @modu")
    expect(page.get_by_role("option", name="module_main.py")).to_be_visible()
    page.press("#prompt", "Tab")
    assert page.input_value("#prompt") == "look at @module_main.py "
    page.fill("#prompt", "")
    page.locator("#prompt").press_sequentially("/cont")
    expect(page.get_by_role("option", name="/context")).to_contain_text("context")
    page.press("#prompt", "Enter")
    page.press("#prompt", "Enter")
    expect(page.locator(".result")).to_contain_text("/context")
    assert page.input_value("#prompt") == ""


def test_commands_are_asked_for_while_they_are_typed(bridge: Bridge, open_chat: OpenChat) -> None:
    """Kiro may tell its commands late: what the page asked for when it was opened is not all that it asks."""
    bridge.start()
    page = open_chat()
    ready(page)
    ask(page, "!standin text hello")
    unanswered: list[Route] = []
    page.route("**/kiro", lambda route: route.continue_() if unanswered else unanswered.append(route))
    page.reload()
    ready(page)
    page.locator("#prompt").press_sequentially("/con")
    expect(page.get_by_role("option", name="/context")).to_be_visible()
    unanswered[0].abort()


def test_the_queue_and_a_stop_that_says_when(bridge: Bridge, open_chat: OpenChat) -> None:
    """A prompt written meanwhile waits; after a stop it is on hold until somebody lets it go on."""
    bridge.start()
    page = open_chat()
    ready(page)
    send(page, "!standin text begun", "!standin tool-sleep 60")
    expect(page.locator("#turns").get_by_text("begun", exact=True)).to_be_visible()
    send(page, "!standin text waited")
    expect(page.locator("#queue")).to_contain_text("1 prompt waits")
    stop = page.get_by_role("button", name="Stop", exact=True)
    stop.click()
    expect(page.locator(".stopped")).to_have_text("Stopped")
    expect(stop).to_be_hidden()
    expect(page.locator("#say")).to_have_text("Stopped.")
    expect(page.locator("#queue")).to_contain_text("On hold")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#turns").get_by_text("waited", exact=True)).to_be_visible()
    expect(page.locator("#queue")).to_be_hidden()
