"""What people see of a conversation, at every size."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenChat, ask, at_bottom, from_bottom, overflow, ready, send, until
from tests.whole.conftest import Bridge

SIZES = [(360, 740), (800, 900), (1440, 900)]
RICH = (
    "Tidy up",
    "!standin thought First I look.",
    "!standin plan Look | Change | Test",
    "!standin text Now **bold** and `code`:\\n\\n```python\\nprint('hello')\\n```\\n\\n| a | b |\\n|---|---|\\n|1|2|",
    "!standin tool write notes.txt one\\ntwo",
    "!standin also shell printf 'out\\nput'; exit 3",
    "!standin text See [there](https://example.com/).",
)


def test_a_whole_turn_at_every_size_light_and_dark(bridge: Bridge, open_chat: OpenChat) -> None:
    """Text, thought, plan, tools and usage are there; nothing is wider than the window; a reload shows the same."""
    bridge.start()
    page = open_chat()
    ready(page)
    expect(page.get_by_role("heading", name="What shall Kiro do?")).to_be_visible()
    ask(page, *RICH)
    for width, height in SIZES:
        for dark in (False, True):
            page = open_chat(width, height, dark=dark)
            ready(page)
            turns = page.locator("#turns")
            expect(turns.locator("strong", has_text="bold")).to_be_visible()
            expect(turns.locator(".code .nb", has_text="print")).to_be_visible()
            expect(turns.locator("td", has_text="2")).to_be_visible()
            expect(turns.locator(".tool")).to_have_count(2)
            expect(turns.locator(".tool-state.bad")).to_contain_text("exit 3")
            expect(turns.locator(".thought summary")).to_contain_text("Thought")
            expect(turns.locator(".plan summary")).to_contain_text("Plan:")
            expect(turns.locator(".turn-line")).to_contain_text(re.compile(r"credits.*context"))
            expect(turns.locator("a", has_text="there")).to_have_attribute("rel", "noopener noreferrer")
            assert overflow(page) <= 0, (width, height)
            at_bottom(page)
            page.close()


def test_tool_cards_open(bridge: Bridge, open_chat: OpenChat) -> None:
    """A tool is one line; opened, it shows what it changed or said, cut where it is long."""
    bridge.start()
    page = open_chat()
    ready(page)
    ask(page, "!standin tool write notes.txt one\\ntwo", "!standin also shell seq 1 100")
    write, shell = page.locator(".tool").nth(0), page.locator(".tool").nth(1)
    expect(write.locator(".fold-body")).to_be_hidden()
    write.locator("summary").click()
    expect(write.locator(".diff-new").first).to_have_text(re.compile(r"\+ one"))
    shell.locator("summary").press("Enter")
    output = shell.locator("pre").last
    expect(output).to_contain_text("24")
    expect(output).not_to_contain_text("100")
    shell.get_by_role("button", name="Show all").click()
    expect(output).to_contain_text("100")


def test_text_streams_without_moving_what_is_read(bridge: Bridge, open_chat: OpenChat) -> None:
    """At the bottom it follows; scrolled away it stays, and a button leads to what is new."""
    bridge.start()
    page = open_chat(800, 500)
    ready(page)
    ask(page, "!standin numbered 60 earlier line")
    send(page, "!standin chunks 30", "!standin delay 0.1", "!standin numbered 60 later line")
    until(page, "document.body.innerText.includes('later line 2')")
    assert from_bottom(page) < 60
    page.evaluate("document.getElementById('scroller').scrollTop -= 700")
    page.wait_for_selector("#to-bottom:visible")
    assert page.locator("#working").is_visible(), "the text was there before anything could be seen of its coming"
    anchor = page.evaluate(
        """() => { const box = document.getElementById('scroller').getBoundingClientRect();
        window.anchor = document.elementFromPoint(box.x + box.width / 2, box.y + 60);
        return window.anchor.getBoundingClientRect().top; }"""
    )
    expect(page.locator("#to-bottom")).to_have_text("New messages")
    page.wait_for_selector("#working", state="hidden")
    assert abs(page.evaluate("window.anchor.getBoundingClientRect().top") - anchor) < 2
    page.click("#to-bottom")
    at_bottom(page)
    expect(page.locator("#to-bottom")).to_be_hidden()
    expect(page.get_by_text("later line 60")).to_be_visible()


def test_history_is_paged_upwards(bridge: Bridge, open_chat: OpenChat) -> None:
    """Older messages come when one scrolls up to them, and what is read stays in its place."""
    bridge.start()
    for number in range(12):
        bridge.ask(f"!standin text answer {number}", *["!standin tool shell true"] * 6)
    page = open_chat(800, 600)
    ready(page)
    expect(page.get_by_text("answer 11", exact=True)).to_be_visible()
    for _ in range(40):
        page.evaluate("document.getElementById('scroller').scrollTop -= 500")
        if page.get_by_text("The beginning of this session").count():
            break
        page.wait_for_timeout(50)
    expect(page.get_by_text("The beginning of this session")).to_be_attached()
    page.evaluate("document.getElementById('scroller').scrollTop = 0")
    expect(page.get_by_text("answer 0", exact=True)).to_be_visible()


@pytest.mark.parametrize("state", ["missing", "logged-out"])
def test_what_keeps_kiro_from_answering_is_told(bridge: Bridge, open_chat: OpenChat, state: str) -> None:
    """Without kiro-cli or without a login the page says what to do, and works otherwise."""
    if state == "missing":
        bridge.env["KIRO_CLI_PATH"] = str(bridge.home / "nowhere")
    else:
        bridge.env["KIRO_STANDIN_LOGGED_OUT"] = "1"
    bridge.start()
    page = open_chat(360, 600)
    ready(page)
    if state == "missing":
        banner = page.locator("#banner")
        expect(banner).to_contain_text("Kiro CLI is not installed")
        expect(banner.get_by_role("button", name="Check again")).to_be_visible()
        banner.get_by_role("button", name="Dismiss").click()
        expect(banner).to_be_hidden()
    else:
        ask(page, "hello")
        expect(page.locator(".turn-problem")).to_contain_text("kiro-cli login")
    assert overflow(page) <= 0
