"""Markdown as blocks: safe, the same however it arrives, and cheap to append to."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.web.markdown import GrowingBlocks, blocks_of
from bridge.web.rendering import render

PIECES = st.sampled_from(
    [
        *("word", " ", "\n", "\n\n", "# ", "#", "- ", "* ", "1. ", "> ", "```", "```py\n", "~~~", "    ", "|", "a|b"),
        *(
            "---",
            "|-|",
            "***",
            "===",
            "`",
            "**",
            "[x](",
            ")",
            "\r",
            "\r\n",
            "\t",
            "- [ ] ",
            "+ ",
            "2) ",
            "<b>",
            "&amp;",
        ),
        *("![", "]"),
    ]
)
ATTRIBUTE = re.compile(r"""\s([a-z-]+)=("[^"]*"|'[^']*'|\S+)""")


@settings(max_examples=80)
@given(st.lists(PIECES, max_size=25))
@example(["word", "\n", "#", "word"])
@example(["- ", "word", "\n", "*", "*", "word", "**"])
@example(["word", "\n", "a|b", "\n", "|-|", "word"])
def test_what_it_looks_like_does_not_depend_on_how_it_came(pieces: list[str]) -> None:
    """After each piece the blocks are those of the whole text so far, and settled ones stay as they are."""
    growing = GrowingBlocks()
    text = ""
    for piece in pieces:
        before = growing.blocks[: growing.settled]
        growing.append(piece)
        text += piece
        assert growing.blocks[: len(before)] == before
        assert growing.blocks == blocks_of(text)
    assert growing.length == len(text)


@settings(max_examples=80)
@given(st.lists(PIECES, max_size=60), st.integers(8, 60))
def test_cut_blocks_stay(pieces: list[str], longest: int) -> None:
    """Where blocks are cut no word is there twice, and settled blocks stay as they are."""
    growing = GrowingBlocks(longest=longest)
    for piece in pieces:
        before = growing.blocks[: growing.settled]
        growing.append(piece)
        assert growing.blocks[: len(before)] == before
    words = len(re.findall("wor?d?", "".join(pieces)))
    assert "".join(re.sub("<[^>]*>|\n", "", block) for block in growing.blocks).count("w") <= words


def test_short_blocks_are_what_the_whole_text_gives() -> None:
    """Cut into blocks and joined again, a text renders as in one."""
    text = "# One\n\ntwo **three**\n\n- a\n- b\n\n  c\n\n```python\nx = 1\n\ny = 2\n```\n\n> q\n\n1. x\n2. y\n"
    assert "".join(blocks_of(text)) == render(text)


@pytest.mark.parametrize(
    ("begin", "line", "end"),
    [("", "word " * 30 + "\n", ""), ("```python\n", "x = 'a' + b(1)\n", "```\n"), ("|a|b|\n|-|-|\n", "|1|2|\n", "")],
)
def test_appending_costs_what_the_last_blocks_cost(begin: str, line: str, end: str) -> None:
    """The sixtieth thousand characters are as cheap as the first ones: no block grows without end."""
    growing = GrowingBlocks()
    growing.append(begin)
    times: list[float] = []
    while len(times) < 120:
        began = time.process_time()
        growing.append(line * (500 // len(line)))
        times.append(time.process_time() - began)
    growing.append(end)
    tenth = len(times) // 10
    first, last = sorted(times[tenth : 2 * tenth])[tenth // 2], sorted(times[-tenth:])[tenth // 2]
    assert last < 6 * first + 0.002
    assert len(growing.blocks) - growing.settled <= 3


def test_a_long_code_block_stays_code() -> None:
    """Its pieces are code of the same language, and together say all of it."""
    lines = [f"value_{number} = {number}" for number in range(600)]
    blocks = blocks_of("```python\n" + "\n".join(lines) + "\n```\n\nafter\n")
    code = [block for block in blocks if 'class="code' in block]
    assert len(code) > 3
    assert 'class="code"' in code[0]
    assert all('class="code more" data-language="python"' in block for block in code[1:])
    text = "".join(re.sub(r"<[^>]+>", "", block.replace("</pre></div>\n", "")) for block in code)
    assert text.splitlines() == lines
    assert blocks[-1] == "<p>after</p>\n"


def test_a_long_table_keeps_its_head() -> None:
    """A table that is cut goes on as a table."""
    blocks = blocks_of("| name | value |\n|---|--:|\n" + "".join(f"| row {n} | {n} |\n" for n in range(400)))
    assert len(blocks) > 3
    assert all("<th>name</th>" in block and '<td class="right">' in block for block in blocks)


TAG_NAMES = "a blockquote br code div em h3 h4 h5 h6 hr li ol p pre s span strong table tbody td th thead tr ul"
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<style>*{background:url(http://evil.example)}</style>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](  javascript:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](vbscript:msgbox(1))",
    "[x](//evil.example/x)",
    "[x](/api/v1/sessions)",
    "[x](file:///etc/passwd)",
    "[x](https://ok.example 'a\" onmouseover=\"alert(1)')",
    '[x](https://ok.example/"onmouseover=alert(1)//)',
    '<https://ok.example/"onclick=alert(1)>',
    "<javascript:alert(1)>",
    "![x](https://evil.example/pixel.png)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "![x](javascript:alert(1))",
    '![" onerror="alert(1)](x)',
    '```" onclick="alert(1)\n<script>\n```',
    "```html\n<script>alert(1)</script>\n```",
    "```js class=x style=y\nlet a = '</code></pre><script>alert(1)</script>'\n```",
    "    <script>alert(1)</script>",
    "`<script>alert(1)</script>`",
    "|<img src=x onerror=alert(1)>|b|\n|:-|-:|\n|<script>|[x](javascript:alert(1))|",
    "https://ok.example/<script>alert(1)</script>",
    'https://ok.example/"onmouseover="alert(1)',
    "[ref]\n\n[ref]: javascript:alert(1)",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "- [ ] <input onfocus=alert(1) autofocus>",
    "\x00<script\x00>alert(1)</script>",
    "<scr\u200bipt>alert(1)</scr\u200bipt>",
    "\ud800<script>alert(1)</script>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php echo 1 ?><script>alert(1)</script>",
)
ALLOWED_TAGS = frozenset(TAG_NAMES.split())
ALLOWED_ATTRIBUTES = {"class", "data-language", "href", "rel", "start", "tabindex", "target", "title"}


@pytest.mark.parametrize("source", HOSTILE)
def test_hostile_markdown(source: str) -> None:
    """Only the tags and attributes that we make come out, and links lead to http, https or mail alone."""
    html = "".join(blocks_of(source))
    for tag in re.findall(r"<\s*/?\s*([a-zA-Z!?][^\s>/]*)", html):
        assert tag in ALLOWED_TAGS, html
    for opening in re.findall(r"<[a-z][^>]*>", html):
        names = {name: value.strip("\"'") for name, value in ATTRIBUTE.findall(opening)}
        assert not names.keys() - {"class", "data-language", "href", "rel", "start", "tabindex", "target", "title"}, (
            html
        )
        if "href" in names:
            assert re.match(r"https?://|mailto:", names["href"], re.IGNORECASE), html
            assert (names["target"], names["rel"]) == ("_blank", "noopener noreferrer")


@pytest.mark.parametrize(
    "source",
    ["[" * 4000, "*a **b " * 600, "> " * 2000, "`" * 4001, "![a](" * 800, "_a__b" * 800, "- " * 2000, "<" * 4000],
    ids=["brackets", "stars", "quotes", "ticks", "images", "underscores", "lists", "tags"],
)
def test_absurd_markdown_is_done_soon(source: str) -> None:
    """What makes parsers slow is slow for a bounded piece only."""
    began = time.process_time()
    blocks_of(source)
    assert time.process_time() - began < 10


def test_links_tasks_and_highlighting() -> None:
    """What people see of the extras."""
    html = render("See https://a.example/b(c). [me](mailto:a@b.example), [here](src/a.py)\n\n- [x] done\n- [ ] open\n")
    assert '<a href="https://a.example/b(c)" target="_blank" rel="noopener noreferrer">' in html
    assert 'href="mailto:a@b.example"' in html
    assert '<span class="path" title="src/a.py">here</span>' in html
    assert "\u2611 done" in html
    assert "\u2610 open" in html
    assert '<span class="k">def</span>' in render("```python\ndef f(): ...\n```")
    assert "<span" not in render("```nonesuch\ndef f(): ...\n```")
    assert 'href="https://evil.example/p.png"' in render("![pixel](https://evil.example/p.png)")
    assert "<img" not in render("![pixel](https://evil.example/p.png)")
