"""Sessions and settings."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenChat, ask, overflow, ready, send
from tests.whole.conftest import Bridge


def act(page: Page, title: str, action: str) -> None:
    """Choose something of a session's menu."""
    row = page.locator(".session", has_text=title).first
    row.hover()
    row.get_by_role("button", name="More actions").click()
    row.get_by_role("menuitem", name=action).click()


def test_sessions_from_new_to_deleted(bridge: Bridge, open_chat: OpenChat) -> None:
    """Make, rename, pin, search, archive and delete; each session keeps its own draft."""
    bridge.start()
    page = open_chat()
    ready(page)
    ask(page, "!standin text a zebra crossing")
    page.fill("#prompt", "kept for the first")
    page.get_by_role("button", name="New session").click()
    page.get_by_label("Title").fill("Second")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="Second", level=1)).to_be_visible()
    assert page.input_value("#prompt") == ""
    ask(page, "!standin text in the second")
    act(page, "Second", "Rename")
    page.get_by_label("Title").fill("Renamed")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".session.current")).to_contain_text("Renamed")
    act(page, "Renamed", "Pin")
    expect(page.locator(".session").first).to_contain_text("Renamed")
    page.locator(".session-open").nth(1).click()
    ready(page)
    assert page.input_value("#prompt") == "kept for the first"
    page.get_by_role("searchbox", name="Search").fill("zebra")
    expect(page.locator("mark").first).to_have_text("zebra")
    page.get_by_role("searchbox", name="Search").fill("")
    act(page, "Renamed", "Archive")
    expect(page.get_by_text("Archived", exact=True)).to_be_visible()
    page.get_by_text("Archived", exact=True).click()
    act(page, "Renamed", "Delete")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Renamed")
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator(".session", has_text="Renamed")).to_have_count(0)


def test_another_session_that_waits_is_seen(bridge: Bridge, open_chat: OpenChat) -> None:
    """While one session is open, the list and the badge tell that another one asks."""
    bridge.start(KIRO_BRIDGE_TRUST_ALL_TOOLS="false")
    page = open_chat()
    ready(page)
    send(page, "!standin sleep 1.5", "!standin ask shell true")
    page.get_by_role("button", name="New session").click()
    page.get_by_role("button", name="Create").click()
    expect(page.locator(".session:not(.current)")).to_contain_text("Waiting for you")
    expect(page.locator("#open-sessions .badge")).to_have_text("1")
    page.locator(".session:not(.current) .session-open").click()
    page.locator("#turns .approval.pending").get_by_role("button", name="Allow once").click()
    expect(page.locator(".settled")).to_contain_text("Allowed once")


def test_settings(bridge: Bridge, open_chat: OpenChat) -> None:
    """Model and trust are changed for the session, the theme for the page; diagnostics and export are there."""
    bridge.start()
    page = open_chat(360, 640)
    ready(page)
    ask(page, "!standin text hello")
    page.click("#open-settings")
    panel = page.locator("#settings")
    panel.get_by_label("Model").select_option("standin-large")
    panel.get_by_role("radio", name="Ask me").check()
    panel.get_by_label("Theme").select_option("dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(panel.get_by_text("Diagnostics")).to_be_visible()
    expect(panel.locator(".diagnosis").first).to_be_visible()
    assert overflow(page) <= 0
    with page.expect_download() as download:
        panel.get_by_role("link", name="As Markdown").click()
    assert "hello" in download.value.path().read_text()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    session = bridge.get(f"/api/v1/sessions/{bridge.session()}")["session"]
    assert (session["model"], session["trust"]) == ("standin-large", "ask")
    page.click("#open-settings")
    expect(panel.get_by_role("radio", name="Ask me")).to_be_checked()
