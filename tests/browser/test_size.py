"""How large and how fast the page is. Bounds are those of a hang; the figures are printed with `-s`."""

from __future__ import annotations

import gzip
import io
import tarfile
import time
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenChat, at_bottom, ready, send, until
from tests.browser.seeding import long_history, seed
from tests.whole.conftest import Bridge

STATIC = Path(__file__).resolve().parents[2] / "bridge" / "web" / "static"
PAYLOAD = 60_000
ITEMS = 10_000
USABLE = """performance.getEntriesByName('usable')[0]?.startTime"""
MARK_USABLE = """new MutationObserver((_, me) => { if (document.querySelector('.turn-line, .empty h2')) {
performance.mark('usable'); me.disconnect(); } }).observe(document, {childList: true, subtree: true});"""
SCROLL = """async () => { const box = document.getElementById('scroller'); const frames = [];
let last = performance.now();
for (let step = 0; step < 150; step += 1) { box.scrollTop += step < 75 ? -300 : 300;
await new Promise(requestAnimationFrame); const now = performance.now(); frames.push(now - last); last = now; }
frames.sort((a, b) => a - b); return [frames[75], frames[142], frames[149]]; }"""


def test_the_page_is_small() -> None:
    """All that is sent for the page, as one compressed archive and file by file."""
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".css", ".js"}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in sorted(files):
            tar.add(path, path.name)
    packed = len(gzip.compress(archive.getvalue()))
    single = sum(len(gzip.compress(path.read_bytes())) for path in files)
    print(f"\nfiles {len(files)}, compressed together {packed}, each by itself {single}")
    assert packed < PAYLOAD
    assert single < PAYLOAD * 1.2


def heap(page: Page) -> float:
    """Return the megabytes of JavaScript's heap after a collection."""
    client = page.context.new_cdp_session(page)
    client.send("HeapProfiler.collectGarbage")
    return float(client.send("Runtime.getHeapUsage")["usedSize"]) / 1e6


def test_a_long_conversation(bridge: Bridge, open_chat: OpenChat) -> None:
    """Ten thousand items: it opens as a short one does, scrolls, and keeps little of it in the document."""
    seed(bridge, long_history(ITEMS))
    bridge.start()
    page = open_chat(1200, 900)
    ready(page)
    page.add_init_script(MARK_USABLE)
    page.reload()
    usable = until(page, USABLE)
    requests = page.evaluate("performance.getEntriesByType('resource').length")
    first = heap(page)
    for _ in range(1000):
        page.evaluate("document.getElementById('scroller').scrollTop = 0")
        page.wait_for_timeout(40)
        if (loaded := page.locator(".segment").count()) > 200:
            break
    frames = page.evaluate(SCROLL)
    nodes = page.evaluate("document.querySelectorAll('*').length")
    times = [round(frame, 1) for frame in frames]
    print(f"\nusable after {usable:.0f} ms, {requests} requests, heap {first:.1f} MB; with {loaded} turns")
    print(f"{heap(page):.1f} MB, {nodes} elements, frames {times} ms (middle, 95 %, longest)")
    assert usable < 10_000
    assert nodes < 4000
    assert loaded > 200
    page.keyboard.press("Alt+j")
    until(page, "document.getElementById('turns').innerText.includes('Prompt 999:')")
    at_bottom(page)


def test_from_the_store_to_the_screen(bridge: Bridge, open_chat: OpenChat) -> None:
    """How long a word takes from the bridge's ledger to the screen."""
    bridge.start()
    page = open_chat()
    ready(page)
    page.evaluate(
        """window.delays = []; const seen = new Set(); new MutationObserver(() => {
        for (const [, at] of document.getElementById('turns').innerText.matchAll(/t=(\\d+\\.\\d+)/g))
        if (!seen.has(at)) { seen.add(at); window.delays.push(Date.now() / 1000 - Number(at)); } })
        .observe(document.getElementById('turns'), {childList: true, subtree: true, characterData: true});"""
    )
    send(page, "!standin chunks 20", "!standin delay 0.05", "!standin numbered 40 word")
    page.wait_for_selector(".turn-line:visible")
    shown = time.time()
    (written,) = bridge.ledger_events("SELECT max(ended_at) FROM turns")[0]
    expect(page.locator("#turns")).to_contain_text("word 40")
    print(f"\nthe end of a turn was on the screen {(shown - written) * 1000:.0f} ms after it was in the ledger")
    assert shown - written < 10
