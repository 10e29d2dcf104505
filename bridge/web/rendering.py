"""One block of Markdown as HTML that is safe to be put into a page.

Invariants: raw HTML in the Markdown stays text; what is returned holds only the tags, attributes and link schemes that
are listed here, whatever came in; nothing in it makes a browser load anything. Highlighting uses classes, never inline
style.

The libraries are imported with this module, which is itself imported when the first page asks for rendered text: a
bridge that nobody looks at does not pay for them.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from pygments import highlight  # type: ignore[import-untyped, unused-ignore]
from pygments.formatters.html import HtmlFormatter  # type: ignore[import-untyped, unused-ignore]
from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped, unused-ignore]
from pygments.util import ClassNotFound  # type: ignore[import-untyped, unused-ignore]

_LANGUAGE_NAMES = """
bash sh shell zsh console c cpp c++ csharp c# css diff docker dockerfile go golang graphql groovy hcl terraform tf html
http ini toml java javascript js jsx json kotlin lua make makefile nginx objective-c perl php powershell ps1 protobuf
proto python py python3 r ruby rb rust rs scala sql swift ts tsx typescript xml yaml yml
"""
_TAG_NAMES = "a blockquote br code div em h3 h4 h5 h6 hr li ol p pre s span strong table tbody td th thead tr ul"

SAFE_LINK = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)
LANGUAGES = frozenset(_LANGUAGE_NAMES.split())
"""The languages that are highlighted; code of others is shown as it is."""

_LANGUAGE = re.compile(r"[\w+#.-]{1,30}")
_BARE_LINK = re.compile(r"https?://[^\s<>\"'`|\\^{}\[\]]+", re.IGNORECASE)
_TAGS = frozenset(_TAG_NAMES.split())
_ATTRIBUTES = {
    "a": {"href", "title", "target", "class"},
    "code": {"class"},
    "div": {"class", "data-language", "tabindex"},
    "ol": {"start"},
    "pre": {"tabindex"},
    "span": {"class", "title"},
    "td": {"class"},
    "th": {"class"},
}
_PLAIN_VALUE = re.compile(r"[\w+#. -]{0,60}")
_FORMATTER = HtmlFormatter(nowrap=True)


def render(source: str, more: bool = False) -> str:
    """Return a piece of Markdown as safe HTML. `more` says that code in it goes on from the piece before."""
    html = _MARKDOWN.render(source.encode("utf-8", "replace").decode(), {"more": more})
    return nh3.clean(
        html,
        tags=set(_TAGS),
        attributes=_ATTRIBUTES,
        attribute_filter=_kept,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
    )


def _kept(_tag: str, name: str, value: str) -> str | None:
    """Judge an attribute once more, though only our own renderer made it."""
    if name == "href":
        return value if SAFE_LINK.match(value) else None
    if name == "title":
        return value
    return value if _PLAIN_VALUE.fullmatch(value) else None


class _Renderer(RendererHTML):
    """markdown-it's renderer with our code, tables, headings and images."""

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """Return code, highlighted where its language is known."""
        token = tokens[idx]
        words = token.info.split(maxsplit=1)
        name = words[0] if words and _LANGUAGE.fullmatch(words[0]) else ""
        kind = "code more" if env.get("more") else "code"
        return (
            f'<div class="{kind}" data-language="{escapeHtml(name)}">'
            f'<pre tabindex="0"><code>{_highlighted(token.content, name.lower())}</code></pre></div>\n'
        )

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """Return indented code, whose language nobody told."""
        return self.fence(tokens, idx, options, env)

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """Return an image as a link to it: a page that loads what the agent names would tell others of it."""
        token = tokens[idx]
        address = str(token.attrGet("src") or "")
        words = escapeHtml(token.content or address)
        if not SAFE_LINK.match(address):
            return f'<span class="image" title="{escapeHtml(address)}">{words}</span>'
        return f'<a class="image" target="_blank" href="{escapeHtml(address)}">{words}</a>'

    def table_open(self, *_: Any) -> str:
        """Return the beginning of a table that scrolls by itself."""
        return '<div class="table" tabindex="0"><table>\n'

    def table_close(self, *_: Any) -> str:
        """Return the end of a table."""
        return "</table></div>\n"


def _highlighted(code: str, language: str) -> str:
    if language not in LANGUAGES:
        return escapeHtml(code)
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return escapeHtml(code)
    return str(highlight(code, lexer, _FORMATTER))


def _adapt(state: StateCore) -> None:
    """Change markdown-it's tokens to what we show: smaller headings, tasks, links that lead out or nowhere."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
        style = token.attrGet("style") if token.type in ("th_open", "td_open") else None
        if style is not None:
            token.attrs = {"class": str(style).rpartition(":")[2]}
        if token.type == "inline" and token.children:
            token.children = _links(token.children)
    for before, token in zip(state.tokens[1:], state.tokens[2:], strict=False):
        if token.type == "inline" and token.level >= 2 and before.type == "paragraph_open" and token.children:
            _mark_task(token.children[0])


def _mark_task(first: Token) -> None:
    for written, shown in (("[ ] ", "\u2610 "), ("[x] ", "\u2611 "), ("[X] ", "\u2611 ")):
        if first.type == "text" and first.content.startswith(written):
            first.content = shown + first.content[4:]


def _links(children: list[Token]) -> list[Token]:
    found: list[Token] = []
    inside: list[str] = []
    for token in children:
        if token.type == "link_open":
            address = str(token.attrGet("href") or "")
            if SAFE_LINK.match(address):
                token.attrSet("target", "_blank")
            else:
                token.tag, token.attrs = "span", {"class": "path", "title": address}
            inside.append(token.tag)
        elif token.type == "link_close":
            token.tag = inside.pop() if inside else "span"
        elif token.type == "text" and not inside:
            found += _with_bare_links(token)
            continue
        found.append(token)
    return found


def _with_bare_links(token: Token) -> list[Token]:
    """Split a text at the addresses in it, which become links."""
    parts: list[Token] = []
    end = 0
    for match in _BARE_LINK.finditer(token.content):
        address = match.group().rstrip(".,;:!?*_~")
        if address.endswith(")") and address.count("(") < address.count(")"):
            address = address[:-1]
        if match.start() > end:
            parts.append(Token("text", "", 0, content=token.content[end : match.start()]))
        parts += [
            Token("link_open", "a", 1, attrs={"href": address, "target": "_blank"}),
            Token("text", "", 0, content=address),
            Token("link_close", "a", -1),
        ]
        end = match.start() + len(address)
    if not parts:
        return [token]
    return [*parts, Token("text", "", 0, content=token.content[end:])] if end < len(token.content) else parts


class _Parser(MarkdownIt):
    """A parser that takes every link for one: `_links` judges them, so that a bad one is still read as a link."""

    def validateLink(self, url: str) -> bool:
        """Return that it is a link."""
        return True


def _markdown() -> MarkdownIt:
    made = _Parser("commonmark", {"html": False}, renderer_cls=_Renderer)
    made.enable(["table", "strikethrough"])
    made.disable(["reference", "html_block", "html_inline"])
    made.core.ruler.push("adapt", _adapt)
    return made


_MARKDOWN = _markdown()


def block_lines(source: str) -> list[int]:
    """Return the lines, counted from 0, at which the outermost blocks of a text begin."""
    return [token.map[0] for token in _BLOCKS.parse(source) if token.level == 0 and token.map and token.nesting >= 0]


def _blocks() -> MarkdownIt:
    made = _markdown()
    made.core.ruler.enableOnly(["normalize", "block"])
    return made


_BLOCKS = _blocks()
