"""Sessions and settings."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import pptx
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
    panel.get_by_label("Effort").select_option("high")
    panel.get_by_role("radio", name="Ask me").check()
    panel.get_by_label("Theme").select_option("dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(panel.get_by_text("Diagnostics")).to_be_visible()
    expect(panel.locator(".diagnosis").first).to_be_visible()
    assert overflow(page) <= 0
    with page.expect_download() as download:
        panel.get_by_role("link", name="As Markdown").click()
    assert "hello" in download.value.path().read_text()
    with page.expect_download() as download:
        panel.get_by_role("link", name="As JSON").click()
    assert "hello" in str(json.loads(download.value.path().read_text())["turns"])
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    session = bridge.get(f"/api/v1/sessions/{bridge.session()}")["session"]
    assert (session["model"], session["effort"], session["trust"]) == ("standin-large", "high", "ask")
    page.click("#open-settings")
    expect(panel.get_by_role("radio", name="Ask me")).to_be_checked()


def test_servers_are_switched(bridge: Bridge, open_chat: OpenChat) -> None:
    """Off goes into the file and shows at once; what is in the way is told beside the switch, which goes back."""
    file = bridge.work / ".kiro/settings/mcp.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"mcpServers": {"docs": {"command": "docs", "env": {"T": "s3cr3t"}}}}')
    bridge.start()
    page = open_chat()
    ready(page)
    page.click("#open-settings")
    switch = page.get_by_role("switch", name="docs")
    expect(switch).to_be_checked()
    switch.click()
    expect(page.locator(".server")).to_contain_text("off")
    assert json.loads(file.read_text())["mcpServers"]["docs"]["disabled"] is True
    switch.click()
    expect(page.locator(".server")).not_to_contain_text("off")
    assert not json.loads(file.read_text())["mcpServers"]["docs"].get("disabled")
    file.write_text("{ half")
    switch.click()
    expect(page.locator(".server [role=alert]")).to_be_visible()
    expect(switch).to_be_checked()
    assert file.read_text() == "{ half"
    assert "s3cr3t" not in page.content()


def test_a_conversation_of_the_terminal_is_taken_over(bridge: Bridge, open_chat: OpenChat) -> None:
    """What was begun elsewhere is found in the list, opens with its history, and goes on."""
    bridge.start("--ledger", str(bridge.home / "first.sqlite3"))
    bridge.ask("!standin text said in the terminal")
    bridge.stop()
    bridge.start("--ledger", str(bridge.home / "second.sqlite3"))
    page = open_chat()
    ready(page)
    page.get_by_text("Sessions made in a terminal").click()
    page.locator(".session-list .session", has_text=str(bridge.work)).locator(".session-open").last.click()
    expect(page.locator("#turns").get_by_text("said in the terminal", exact=True)).to_be_visible()
    expect(page.locator(".session.current")).to_have_count(1)
    ask(page, "!standin text goes on here")
    expect(page.locator("#turns").get_by_text("goes on here", exact=True)).to_be_visible()


def make_files(folder: Path) -> None:
    """Write a picture, slides and a document as PDF."""
    pixels = b"".join(b"\0" + bytes([200, 80, 40]) * 40 for _ in range(30))
    parts = {b"IHDR": struct.pack(">2I5B", 40, 30, 8, 2, 0, 0, 0), b"IDAT": zlib.compress(pixels), b"IEND": b""}
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts.items()
    ]
    (folder / "dot.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    (folder / "paper.pdf").write_bytes(b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n")
    deck = pptx.Presentation()
    for number in (1, 2):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = f"Title {number}"
    deck.save(str(folder / "talk.pptx"))


def test_previews(bridge: Bridge, open_chat: OpenChat, tmp_path: Path) -> None:
    """A picture is drawn, slides are listed, a PDF is shown in the panel, and what cannot be shown says so."""
    make_files(tmp_path)
    (tmp_path / "data.bin").write_bytes(bytes(range(256)) * 8)
    bridge.start()
    page = open_chat(800, 700)
    ready(page)
    expect(page.locator("#open-files")).to_be_visible()
    names = ["dot.png", "talk.pptx", "paper.pdf", "data.bin"]
    page.set_input_files("#attach input", [tmp_path / name for name in names])
    expect(page.locator(".upload .spinner")).to_have_count(0)
    page.click("#open-files")
    panel = page.locator("#files")
    seen = {
        "dot.png": panel.locator("img"),
        "talk.pptx": panel.get_by_text("Title 2"),
        "paper.pdf": panel.locator("iframe"),
        "data.bin": panel.get_by_text("There is no preview for this kind of file."),
    }
    for name in names:
        panel.locator(".file-row", has_text=name).click()
        expect(seen[name]).to_be_visible()
        if name == "dot.png":
            assert page.evaluate("document.querySelector('#files img').decode().then(() => true)")
        panel.get_by_role("button", name="All files").click()
