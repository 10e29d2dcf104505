"""The chat page in a real browser, over a real bridge with the stand-in behind it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Frame, Page, sync_playwright

from tests.whole.conftest import WAIT, Bridge

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_MS = 20_000.0
INSTALL_SECONDS = 300

OpenChat = Callable[..., Page]
View = Page | Frame
"""The chat page, in a window of its own or in a frame."""


def find_chromium() -> str | None:
    """Return the system's Chromium; install it with apt where that needs nobody's password."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found or not shutil.which("apt-get") or os.environ.get("KIRO_TEST_NO_INSTALL"):
        return found
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if root and not shutil.which("sudo"):
        return None
    command = [*root, "apt-get", "install", "--yes", "--no-install-recommends", "chromium"]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=INSTALL_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return shutil.which("chromium")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Give one browser for all tests, or skip them."""
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium was found and apt could not install it: the browser tests are skipped")
    env: dict[str, str | float | bool] = {**os.environ, "HOME": str(tmp_path_factory.mktemp("browser-home"))}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"], env=env)
        yield browser
        browser.close()


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    """Give a bridge that is not started yet, and end it."""
    bridge = Bridge(tmp_path)
    bridge.env |= {"KIRO_BRIDGE_TRANSPORT": "acp", "KIRO_STANDIN_TOKEN_DELAY": ""}
    yield bridge
    bridge.stop()


class Watch:
    """What a page did that it must not: errors, and requests to anybody else."""

    def __init__(self, context: BrowserContext, home: str) -> None:
        self.errors: list[str] = []
        self.strange: list[str] = []
        self.allowed: tuple[str, ...] = ("Failed to load resource", "net::ERR_")
        context.on("console", lambda message: self._console(message.type, message.text))
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("request", lambda request: self._request(request.url, home))

    def _console(self, kind: str, text: str) -> None:
        if kind == "error" and not any(word in text for word in self.allowed):
            self.errors.append(text)

    def _request(self, url: str, home: str) -> None:
        if not url.startswith((home, "data:", "blob:", "about:", "chrome:", "chrome-extension:")):
            self.strange.append(url)


@pytest.fixture
def open_chat(browser: Browser, bridge: Bridge) -> Iterator[OpenChat]:
    """Open the chat in a window of its own; fail in the end if it met an error or asked anybody else for anything."""
    opened: list[tuple[BrowserContext, Watch]] = []

    def open_chat(
        width: int = 1200,
        height: int = 800,
        *,
        dark: bool = False,
        url: str = "",
        path: str = "/chat/embed",
        context: BrowserContext | None = None,
        **options: Any,
    ) -> Page:
        home = url or bridge.url
        if context is None:
            scheme: Any = "dark" if dark else "light"
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True, **options
            )
            context.set_default_timeout(PATIENCE_MS)
            opened.append((context, Watch(context, home)))
        page = context.new_page()
        page.goto(home + path)
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_chat
    for context, _ in opened:
        context.close()
    for _, watch in opened:
        assert not watch.errors
        assert not watch.strange


def until(page: View, holds: str) -> Any:
    """Wait until an expression is true in the page, without the `eval` of Playwright's own way; return it."""
    limit = time.monotonic() + PATIENCE_MS / 1000
    while not (answer := page.evaluate(holds)):
        assert time.monotonic() < limit, f"never happened: {holds}"
        page.wait_for_timeout(30)
    return answer


def ready(page: View) -> None:
    """Wait until the conversation is there and nothing runs."""
    page.wait_for_selector("#history-top:not(:has(.skeleton))")
    page.wait_for_selector("#working", state="hidden")


def send(page: View, *lines: str) -> None:
    """Write a prompt and send it with Enter."""
    page.fill("#prompt", "\n".join(lines))
    page.press("#prompt", "Enter")
    until(page, "document.getElementById('prompt').value === ''")


def ask(page: View, *lines: str) -> None:
    """Send a prompt and wait for the end of its turn."""
    count = page.locator(".turn-line:visible").count()
    send(page, *lines)
    until(page, f"document.querySelectorAll('.turn-line:not([hidden])').length > {count}")


def overflow(page: View) -> int:
    """Return how many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def at_bottom(page: View) -> None:
    """Wait until the conversation rests at its end, within the rounding of a screen's pixels."""
    until(page, "(s => s.scrollHeight - s.scrollTop - s.clientHeight < 3)(document.getElementById('scroller'))")


def from_bottom(page: View) -> float:
    """Return how far the conversation is from its end, in pixels."""
    return float(
        page.evaluate("(s => s.scrollHeight - s.scrollTop - s.clientHeight)(document.getElementById('scroller'))")
    )


__all__ = ["WAIT", "OpenChat", "View", "ask", "at_bottom", "from_bottom", "overflow", "ready", "send", "until"]
