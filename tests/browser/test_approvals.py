"""What Kiro asks: in place, as a bar, by key, in two windows, over a reload."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import OpenChat, overflow, ready, send, until
from tests.whole.conftest import Bridge


def test_an_approval_is_answered_where_it_was_asked(bridge: Bridge, open_chat: OpenChat) -> None:
    """It says what will run, survives a reload, is answered once, and the other window sees it."""
    bridge.start(KIRO_BRIDGE_TRUST_ALL_TOOLS="false")
    page = open_chat(360, 640)
    ready(page)
    send(page, "!standin ask shell touch allowed.txt", "!standin text went on")
    card = page.locator("#turns .approval.pending")
    expect(card).to_contain_text("touch allowed.txt")
    expect(page.locator("#phase")).to_have_text("Waiting for you")
    assert overflow(page) <= 0
    page.reload()
    expect(card.get_by_role("button", name="Allow once")).to_be_in_viewport()
    expect(page.locator("#approval-bar")).to_be_hidden()
    other = open_chat(1200, 700)
    expect(other.locator("#turns .approval.pending")).to_be_visible()
    card.get_by_role("button", name="Allow once").click()
    for window in (page, other):
        expect(window.locator(".settled")).to_contain_text("Allowed once")
        expect(window.locator("#turns").get_by_text("went on", exact=True)).to_be_visible()
    assert (bridge.work / "allowed.txt").exists()


def test_rejecting_with_a_reason(bridge: Bridge, open_chat: OpenChat) -> None:
    """The tool does not run, and the reason is the next prompt."""
    bridge.start(KIRO_BRIDGE_TRUST_ALL_TOOLS="false")
    page = open_chat()
    ready(page)
    send(page, "!standin ask shell touch rejected.txt", "!standin text went on")
    card = page.locator("#turns .approval.pending")
    card.get_by_role("button", name="Reject, because…").click()
    page.keyboard.type("!standin text understood")
    card.get_by_role("button", name="Reject and send").click()
    expect(page.locator(".settled")).to_contain_text("Rejected")
    expect(page.locator("#turns").get_by_text("understood", exact=True)).to_be_visible()
    assert not (bridge.work / "rejected.txt").exists()


def test_the_bar_while_the_card_is_out_of_sight(bridge: Bridge, open_chat: OpenChat) -> None:
    """In a low panel too: scrolled away the question stays, leads back, and is answered by key."""
    bridge.start(KIRO_BRIDGE_TRUST_ALL_TOOLS="false")
    page = open_chat(700, 400)
    ready(page)
    send(page, "!standin numbered 60 line", "!standin ask shell touch by-key.txt", "!standin text went on")
    bar = page.locator("#approval-bar")
    expect(page.locator("#turns .approval.pending")).to_be_in_viewport()
    expect(bar).to_be_hidden()
    page.evaluate("document.getElementById('scroller').scrollTop = 0")
    expect(bar).to_contain_text("touch by-key.txt")
    for name in ("Allow once", "Always allow", "Reject"):
        expect(bar.get_by_role("button", name=name, exact=True)).to_be_in_viewport(ratio=1)
    bar.get_by_role("button", name="Show").click()
    expect(page.locator("#turns .approval.pending")).to_be_in_viewport()
    expect(bar).to_be_hidden()
    until(page, "document.activeElement.classList.contains('approval')")
    page.keyboard.press("1")
    expect(page.locator("#turns").get_by_text("went on", exact=True)).to_be_visible()
    assert (bridge.work / "by-key.txt").exists()


def test_a_question_has_its_own_answers(bridge: Bridge, open_chat: OpenChat) -> None:
    """A question of the v3 engine offers what Kiro offers."""
    bridge.env["KIRO_BRIDGE_ENGINE"] = "v3"
    bridge.start(KIRO_BRIDGE_TRUST_ALL_TOOLS="false")
    page = open_chat()
    ready(page)
    send(page, "!standin question Which colour? | Red | Blue", "!standin text went on")
    card = page.locator("#turns .approval.pending")
    expect(card).to_contain_text("Which colour?")
    card.get_by_role("button", name="Blue").click()
    expect(page.locator(".settled")).to_contain_text("Blue")
    expect(page.locator("#turns").get_by_text("went on", exact=True)).to_be_visible()
