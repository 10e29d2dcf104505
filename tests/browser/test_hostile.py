"""What the agent writes is shown: nothing of it runs, loads anything, or leaves its place."""

from __future__ import annotations

import pytest

from tests.browser.conftest import OpenChat, overflow, ready
from tests.browser.seeding import hostile_turn, seed
from tests.web.test_page_markdown import HOSTILE
from tests.whole.conftest import Bridge

EVIL = "https://evil.example"
MORE = (
    f"<img src={EVIL}/a onerror=window.ran=1>",
    f"<svg><image href='{EVIL}/b'/><script>window.ran=1</script></svg>",
    f"<link rel=stylesheet href={EVIL}/c><style>@import '{EVIL}/d'</style>",
    f"<iframe src={EVIL}/e></iframe><object data={EVIL}/f></object><embed src={EVIL}/g>",
    "<form action=javascript:window.ran=1><button>x</button></form>",
    '"><script>window.ran=1</script>',
    "'-window.ran=1-'",
    "javascript:window.ran=1",
    f"![x]({EVIL}/h.png) [x]({EVIL}/i)",
    "${window.ran=1}{{constructor.constructor('window.ran=1')()}}",
    "\u202egnp.exe \u2066hidden\u2069 \ufeff",
    "\x1b[31mred\x1b]0;title\x07 \x00\x08",
    "W" * 5000,
)
AT_TOP = "document.getElementById('scroller').scrollTop === 0"
STRANGE = """[...document.body.querySelectorAll('*')].filter(node => node.id !== 'composer' && (
['SCRIPT', 'IFRAME', 'OBJECT', 'EMBED', 'IMG', 'STYLE', 'LINK', 'BASE', 'META', 'FORM'].includes(node.tagName)
|| [...node.attributes].some(one => one.name.startsWith('on') || ['href', 'src', 'action'].includes(one.name)
&& /^\\s*(javascript|data|vbscript):/i.test(one.value)))).map(node => node.outerHTML.slice(0, 200))"""
"""What must not be in the body, whatever the agent wrote."""


@pytest.mark.parametrize("width", [360, 1200])
def test_hostile_text_in_every_field(bridge: Bridge, open_chat: OpenChat, width: int) -> None:
    """With every card open; `open_chat` sees to it that nobody else was asked for anything and no policy was met."""
    corpus = [text.encode("utf-8", "replace").decode() for text in (*HOSTILE, *MORE)]
    seed(bridge, map(hostile_turn, corpus[width == 360 :: 2]))
    bridge.start()
    page = open_chat(width, 800)
    ready(page)
    for _ in range(60):
        page.evaluate(
            """for (const fold of document.querySelectorAll('#turns details')) fold.open = true;
            for (const more of document.querySelectorAll('#turns .link')) more.click();
            document.getElementById('scroller').scrollTop -= 900;"""
        )
        page.wait_for_timeout(30)
        assert page.evaluate(STRANGE) == []
        if (
            page.evaluate("document.getElementById('scroller').scrollTop") == 0
            and page.locator(".history-top p").count()
        ):
            break
    assert overflow(page) <= 0
    assert page.evaluate("window.ran") is None
    assert page.evaluate("getComputedStyle(document.body).backgroundImage") == "none"
