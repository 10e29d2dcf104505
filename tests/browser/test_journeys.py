"""The ways through the page at every size, light and dark, plain, behind a stripping proxy and in a frame."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenChat, View, ask, overflow, ready, send
from tests.browser.proxies import PREFIX, proxy
from tests.whole.conftest import Bridge

pytestmark = pytest.mark.leaves("threads", "a browser's idle connections to the proxy end with the browser")

SIZES = {"phone": (360, 640), "tablet": (800, 700), "desk": (1440, 900)}
WAYS = [
    ("phone", "light", "plain"),
    ("phone", "dark", "framed"),
    ("tablet", "light", "prefixed"),
    ("tablet", "dark", "plain"),
    ("desk", "light", "framed"),
    ("desk", "dark", "prefixed"),
]


@contextlib.contextmanager
def opened(bridge: Bridge, open_chat: OpenChat, way: tuple[str, str, str]) -> Iterator[View]:
    """Open the page one way, and close it before what stands between."""
    size, theme, place = way
    width, height = SIZES[size]
    dark = theme == "dark"
    if place == "plain":
        bridge.start(KIRO_BRIDGE_TRUST_ALL_TOOLS="false")
        yield open_chat(width, height, dark=dark)
        return
    prefix = PREFIX if place == "prefixed" else ""
    bridge.start("--chat-base-path", f"{prefix}/chat", KIRO_BRIDGE_TRUST_ALL_TOOLS="false")
    with proxy(bridge.url, prefix) as outside:
        if prefix:
            page = open_chat(width, height, dark=dark, url=outside.url)
            yield page
        else:
            outside.pages["/frame"] = (
                "<!doctype html><html data-ready><body style='margin:0'><iframe src='chat/embed' "
                f"style='border:0;display:block;width:{width}px;height:{height}px'></iframe>"
            )
            page = open_chat(width, height, dark=dark, url=outside.url, path="/frame")
            frame = page.frame(url="**/chat/embed")
            assert frame
            yield frame
        page.context.close()


def panel(view: View, name: str) -> None:
    """Open a panel if it does not stand there already."""
    if not view.locator(f"#{name}").is_visible():
        view.click(f"#open-{name}")
    expect(view.locator(f"#{name}")).to_be_visible()


def closed(view: View, name: str) -> None:
    """Close a panel where it lies over the conversation."""
    close = view.locator(f"#{name}").get_by_role("button", name="Close").first
    if close.is_visible():
        close.click()


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_from_the_first_prompt_to_the_last_panel(
    bridge: Bridge, open_chat: OpenChat, way: tuple[str, str, str], tmp_path: Path
) -> None:
    """Ask, allow, queue, stop, go on, another session, settings, files: all can be reached and nothing sticks out."""
    with opened(bridge, open_chat, way) as view:
        ready(view)
        assert overflow(view) <= 0
        send(view, "!standin ask shell touch allowed.txt", "!standin text begun", "!standin tool-sleep 60")
        allow = view.locator("#turns .approval.pending").get_by_role("button", name="Allow once")
        expect(allow).to_be_in_viewport(ratio=1)
        assert overflow(view) <= 0
        allow.click()
        expect(view.locator("#turns").get_by_text("begun", exact=True)).to_be_visible()
        send(view, "!standin text waited")
        expect(view.locator("#queue")).to_contain_text("1 prompt waits")
        stop = view.get_by_role("button", name="Stop", exact=True)
        expect(stop).to_be_in_viewport(ratio=1)
        stop.click()
        expect(view.locator("#queue")).to_contain_text("On hold")
        assert overflow(view) <= 0
        view.get_by_role("button", name="Go on").click()
        expect(view.locator("#turns").get_by_text("waited", exact=True)).to_be_visible()
        visit_panels(view, tmp_path)


def visit_panels(view: View, folder: Path) -> None:
    """Go on in a session of its own, change a setting of it, and look at an uploaded file."""
    panel(view, "sessions")
    assert overflow(view) <= 0
    view.get_by_role("button", name="New session").click()
    view.get_by_label("Title").fill("Second")
    view.get_by_role("button", name="Create").click()
    expect(view.get_by_role("heading", name="Second", level=1)).to_be_visible()
    (folder / "data.csv").write_text("a,b\n1,2\n")
    view.set_input_files("#attach input", folder / "data.csv")
    expect(view.locator(".upload")).to_contain_text("data.csv")
    expect(view.locator(".upload .spinner")).to_have_count(0)
    ask(view, "!standin text in the second")
    panel(view, "settings")
    view.locator("#settings").get_by_role("radio", name="Trust all").check()
    assert overflow(view) <= 0
    closed(view, "settings")
    panel(view, "files")
    view.locator("#files .file-row", has_text="data.csv").click()
    expect(view.locator("#files td", has_text="2")).to_be_visible()
    assert overflow(view) <= 0
    closed(view, "files")
    panel(view, "sessions")
    view.locator(".session:not(.current) .session-open").first.click()
    expect(view.locator("#turns").get_by_text("waited", exact=True)).to_be_visible()
    expect(view.locator("#prompt")).to_be_in_viewport(ratio=1)
    assert overflow(view) <= 0
