"""For everyone: what axe finds, and the keyboard alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenChat, ask, ready, send, until
from tests.browser.test_conversation import RICH
from tests.whole.conftest import Bridge

AXE = Path(__file__).resolve().parents[1] / "js" / "node_modules" / "axe-core" / "axe.min.js"


def serious(page: Page) -> list[Any]:
    """Return what axe finds serious or critical in the page as it stands."""
    page.wait_for_timeout(250)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then(found => found.violations)")
    return [
        (one["id"], one["impact"], [node["html"][:160] for node in one["nodes"]][:4])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not there: run npm ci in tests/js")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(bridge: Bridge, open_chat: OpenChat, dark: bool) -> None:
    """Empty, with a whole turn, with each panel, a dialog, and while Kiro asks."""
    bridge.start(KIRO_BRIDGE_TRUST_ALL_TOOLS="false")
    page = open_chat(1440, 900, dark=dark)
    ready(page)
    assert serious(page) == []
    send(page, *RICH)
    for _ in range(2):
        page.locator("#turns .approval.pending").wait_for()
        assert serious(page) == []
        page.locator("#turns .approval.pending").get_by_role("button", name="Allow once").click()
        page.wait_for_timeout(300)
    page.wait_for_selector("#working", state="hidden")
    for summary in page.locator("#turns summary").all():
        summary.click()
    assert serious(page) == []
    for panel in ("settings", "files"):
        page.click(f"#open-{panel}")
        page.wait_for_timeout(500)
        assert serious(page) == []
    page.get_by_role("button", name="New session").click()
    assert serious(page) == []


def test_by_keyboard_alone(bridge: Bridge, open_chat: OpenChat) -> None:
    """Ask, allow, open a card and a panel, close it again; the focus is always to be seen."""
    bridge.start(KIRO_BRIDGE_TRUST_ALL_TOOLS="false")
    page = open_chat(800, 700)
    ready(page)
    page.focus("#prompt")
    page.keyboard.type("!standin ask shell echo allowed")
    page.keyboard.press("Enter")
    page.locator("#turns .approval.pending").wait_for()
    expect(page.locator("#say-now")).to_contain_text("Kiro waits for you")
    page.keyboard.press("Alt+y")
    expect(page.locator(".settled")).to_contain_text("Allowed once")
    until(page, "document.querySelectorAll('.turn-line:not([hidden])').length === 1")
    for _ in range(40):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    expect(page.locator(".tool .fold-body")).to_contain_text("allowed")
    page.keyboard.press("Alt+s")
    expect(page.locator("#sessions")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#sessions")).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "open-sessions"


def test_reduced_motion(bridge: Bridge, open_chat: OpenChat) -> None:
    """Nothing moves for somebody who does not want it."""
    bridge.start()
    page = open_chat(reduced_motion="reduce")
    ready(page)
    ask(page, "!standin text hello")
    assert page.evaluate(
        "[...document.querySelectorAll('*')].every(n => parseFloat(getComputedStyle(n).animationDuration) < 0.001)"
    )
