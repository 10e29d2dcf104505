"""`make screenshots`: pictures of the chat page's main states, in docs/images.

A bridge with the stand-in plays a short story in a scratch home; the system's Chromium looks at it. Nothing of a real
Kiro or of this machine's user is in the pictures.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
WAIT = 60.0
NAMES = ("chromium", "chromium-browser", "google-chrome")

CODE = "def greet(name: str) -> str:\n    return f'hello {name}'\n"
NEW_CODE = 'def greet(name: str, rain: bool) -> str:\n    umbrella = ", take an umbrella" if rain else ""\n'
NEW_CODE += '    return f"Good morning {name}{umbrella}!"\n'
ANSWER = """The greeting now knows about the rain:

```python
def greet(name: str, rain: bool) -> str:
    umbrella = ", take an umbrella" if rain else ""
    return f"Good morning {name}{umbrella}!"
```

| case | says |
| --- | --- |
| sun | Good morning Ada! |
| rain | Good morning Ada, take an umbrella! |

I would like to run the tests before I call it done."""

STORY = [
    [
        [
            {"thought": "The greeting is in src/greeting.py. I look at it first, then I change it and run the tests."},
            {"plan": ["Read the greeting", "Let it know about the rain", "Run the tests"]},
            {"text": "I look at what is there."},
            {"tool": "read", "args": {"path": "src/greeting.py"}},
            {"tool": "read", "args": {"path": "tests/test_greeting.py"}},
            {"tool": "write", "args": {"path": "src/greeting.py", "text": NEW_CODE}},
        ],
        [{"text": ANSWER}, {"tool": "shell", "args": {"command": "python3 -m unittest -v"}, "ask": True}],
        [{"text": "All tests pass. The change is in `src/greeting.py`."}],
    ]
]


def main(arguments: list[str]) -> int:
    """Write the pictures into a folder, docs/images unless another one is given; return an exit code."""
    chromium = next((path for name in NAMES if (path := shutil.which(name))), None)
    if chromium is None:
        print("error: no Chromium was found. Install one (Debian, Ubuntu: apt-get install chromium).", file=sys.stderr)
        return 1
    folder = Path(arguments[0]) if arguments else IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kiro-pictures-") as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with bridge(Path(scratch) / "story") as url:
            tell(browser, url, folder)
        with bridge(Path(scratch) / "broken", KIRO_CLI_PATH="/opt/nowhere/kiro-cli") as url:
            page = look(browser, url, 800, 480)
            page.wait_for_selector("#banner:visible")
            shoot(page, folder / "chat-problem.png")
        browser.close()
    return 0


@contextmanager
def bridge(folder: Path, **env: str) -> Iterator[str]:
    """Run a bridge in a folder of its own and give its address."""
    work = folder / "weather"
    (work / "src").mkdir(parents=True)
    (work / "tests").mkdir()
    (folder / "home").mkdir()
    (work / "src" / "greeting.py").write_text(CODE)
    (work / "tests" / "test_greeting.py").write_text("import unittest\n\n# greet\n")
    (folder / "story.json").write_text(json.dumps(STORY))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KIRO_", "CODER_", "AGENTAPI_"))}
    whole = {
        **kept,
        "HOME": str(folder / "home"),
        "PYTHONPATH": str(ROOT),
        "KIRO_CLI_PATH": str(ROOT / "standin" / "kiro-cli"),
        "KIRO_STANDIN_SCRIPT": str(folder / "story.json"),
        "KIRO_BRIDGE_TRANSPORT": "acp",
        "KIRO_BRIDGE_TRUST_TOOLS": "read,write",
        **env,
    }
    log = folder / "log"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge", "serve", "--port", "0"], cwd=work, env=whole, stdout=out, stderr=out
        )
    try:
        yield address(log)
    finally:
        process.terminate()
        process.wait(WAIT)


def address(log: Path) -> str:
    """Wait for the line that says where a bridge listens."""
    limit = time.monotonic() + WAIT
    while time.monotonic() < limit:
        found = re.search(r'listening on (http://[^\s"]+)', log.read_text(errors="replace"))
        if found:
            return found[1]
        time.sleep(0.1)
    raise SystemExit(f"error: the bridge did not start:\n{log.read_text(errors='replace')}")


def look(browser: Browser, url: str, width: int, height: int, *, dark: bool = False) -> Page:
    """Open the chat in a window of its own."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", locale="en-GB"
    )
    page = context.new_page()
    page.goto(f"{url}/chat/embed")
    page.wait_for_selector("#history-top:not(:has(.skeleton))")
    return page


def shoot(page: Page, path: Path) -> None:
    """Take a picture once everything has come to rest."""
    page.wait_for_timeout(500)
    page.evaluate("document.activeElement?.blur()")
    page.screenshot(path=path, animations="disabled")
    print(path)


def tell(browser: Browser, url: str, folder: Path) -> None:
    """Play the story and take its pictures."""
    page = look(browser, url, 1280, 860)
    shoot(page, folder / "chat-empty.png")
    page.fill("#prompt", "Let the greeting tell people to take an umbrella when it rains.")
    page.press("#prompt", "Enter")
    page.wait_for_selector("#turns .approval.pending")
    shoot(page, folder / "chat-approval.png")
    phone = look(browser, url, 360, 740, dark=True)
    phone.wait_for_selector("#turns .approval.pending")
    shoot(phone, folder / "chat-phone.png")
    panel = look(browser, url, 640, 400)
    panel.wait_for_selector("#turns .approval.pending")
    panel.evaluate("document.getElementById('scroller').scrollTop = 0")
    shoot(panel, folder / "chat-low.png")
    page.locator("#turns .approval.pending").get_by_role("button", name="Allow once").click()
    page.wait_for_selector(".turn-line:visible")
    page.locator(".tool summary").nth(2).click()
    page.evaluate("document.querySelectorAll('.tool')[2].scrollIntoView({block: 'start'})")
    page.evaluate("document.getElementById('scroller').scrollTop -= 120")
    shoot(page, folder / "chat-conversation.png")
    dark = look(browser, url, 1280, 860, dark=True)
    dark.click("#open-settings")
    dark.wait_for_selector(".diagnosis")
    shoot(dark, folder / "chat-settings-dark.png")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
