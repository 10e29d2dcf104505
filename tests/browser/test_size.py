"""How large and how fast the page is. Bounds are those of a hang; the figures are printed with `-s`."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.conftest import OpenChat, ask, at_bottom, ready, until
from tests.browser.seeding import long_history, seed
from tests.whole.conftest import Bridge

STATIC = Path(__file__).resolve().parents[2] / "bridge" / "web" / "static"
PAYLOAD = 60_000
ITEMS = 10_000
USABLE = """performance.getEntriesByName('usable')[0]?.startTime"""
MARK_USABLE = """new MutationObserver((_, me) => { if (document.querySelector('.turn-line, .empty h2')) {
performance.mark('usable'); me.disconnect(); } }).observe(document, {childList: true, subtree: true});"""
ANSWERS = 9
NOTE_PAINTED = """(() => { window.painted = {}; const turns = document.getElementById('turns');
const note = name => name in window.painted || (window.painted[name] = 0,
requestAnimationFrame(() => (window.painted[name] = Date.now())));
new MutationObserver(() => { for (const [mark] of turns.innerText.matchAll(/^mark-\\d+\\.$/gm)) note(mark);
for (let end = turns.querySelectorAll('.turn-line:not([hidden])').length; end > 0; end -= 1) note(`end ${end}`); })
.observe(turns, {childList: true, subtree: true, characterData: true, attributes: true}); })()"""
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
    for _ in range(3000):
        page.evaluate("document.getElementById('scroller').scrollTop = 0")
        page.wait_for_timeout(40)
        if (loaded := page.locator(".segment").count()) == ITEMS // 10:
            break
    frames = page.evaluate(SCROLL)
    nodes = page.evaluate("document.querySelectorAll('*').length")
    times = [round(frame, 1) for frame in frames]
    print(f"\nusable after {usable:.0f} ms, {requests} requests, heap {first:.1f} MB; with {loaded} turns")
    print(f"{heap(page):.1f} MB, {nodes} elements, frames {times} ms (middle, 95 %, longest)")
    assert usable < 10_000
    assert nodes < 4000
    assert loaded == ITEMS // 10
    page.keyboard.press("Alt+j")
    until(page, "document.getElementById('turns').innerText.includes('Prompt 999:')")
    at_bottom(page)


def test_from_the_ledger_to_the_screen(bridge: Bridge, open_chat: OpenChat) -> None:
    """How long it takes from the ledger until a text, and the end of its turn, are painted."""
    bridge.start()
    page = open_chat()
    ready(page)
    page.evaluate(NOTE_PAINTED)
    for number in range(ANSWERS):
        ask(page, f"!standin text mark-{number}.")
    until(page, "Object.values(window.painted).every(Boolean)")
    painted = page.evaluate("window.painted")
    written = bridge.ledger_events(
        "SELECT t.ended_at, i.created_at, i.text FROM turns t JOIN items i ON i.turn_id = t.id AND i.kind = 'text'"
    )
    assert len(written) == ANSWERS
    texts = sorted(painted[text.strip()] - created * 1000 for _, created, text in written)
    ends = sorted(painted[f"end {number}"] - ended * 1000 for number, (ended, _, _) in enumerate(written, 1))
    assert texts[0] > 0 and ends[0] > 0
    for name, times in (("text", texts), ("end of a turn", ends)):
        print(f"\nledger to screen, {name}: middle {times[ANSWERS // 2]:.0f} ms, longest {times[-1]:.0f} ms")
        assert times[-1] < 10_000
