"""Blocks of the conversation as styled lines, laid out by rich, for prompt_toolkit to write.

Invariant: the only way from an agent's words to a terminal; every piece of text is cleaned after the layout too,
because Markdown can spell characters as entities or in URLs.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from markdown_it import MarkdownIt
from rich.color import ColorType
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, TableElement
from rich.padding import Padding
from rich.segment import Segment
from rich.style import Style
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from bridge.core.approvals import is_pending
from bridge.core.items import Item
from bridge.terminal.approvals import Way, details, outcome, refused, title
from bridge.terminal.clean import clean
from bridge.terminal.model import Block, Said
from bridge.terminal.wording import cost, ending, excerpt, plan_steps, tool_name, tool_note, tool_subject

Line = list[tuple[str, str]]
"""Pieces of a line as prompt_toolkit takes them: style and text."""

OUTPUT_LINES = 6
LIVE_OUTPUT_LINES = 4
ASKED_ROWS = 8
PROMPT_LINES = 40
LIVE_SOURCE_LINES = 150
DEEPEST = 16
"""Markdown that is nested deeper is shown as it was written: the parser leaves out what is below level 20."""

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

_NARROWEST = 20
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)
_THEME = Theme(
    {
        "markdown.code": "cyan",
        "markdown.block_quote": "dim",
        "markdown.h1": "bold underline",
        "markdown.h2": "bold",
        "markdown.h3": "bold",
        "markdown.h4": "bold dim",
        "markdown.link": "underline",
        "markdown.link_url": "dim underline",
        "markdown.hr": "dim",
        "markdown.item.bullet": "cyan",
        "markdown.item.number": "cyan",
        "markdown.table.border": "dim",
        "markdown.table.header": "bold",
    }
)
_ANSI = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "gray")
_BRIGHT = ("brightblack", *(f"bright{name}" for name in _ANSI[1:7]), "white")
_NAMES = tuple(f"ansi{name}" for name in (*_ANSI, *_BRIGHT))
_SIGNS = {"completed": ("✓", "green"), "failed": ("✗", "red"), "cancelled": ("■", "yellow")}
_STEPS = {"completed": ("✓", "green"), "running": ("▸", "yellow")}
_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])


def block_lines(block: Block, width: int) -> list[Line]:
    """Return a finished block as lines of at most `width` columns, without the space around it."""
    if not isinstance(block, Said):
        return _lines(_ending(block.turn, cost(block.usage)), width)
    shown = item_block(block.item)
    return _lines(Group(Text("corrected:", "yellow"), shown) if block.corrected else shown, width)


def live_lines(items: Sequence[Item], width: int, height: int, frame: int) -> list[Line]:
    """Return the last `height` lines of what is still being said and done; `frame` moves the spinner."""
    lines: list[Line] = []
    for before, item in zip([None, *items], items, strict=False):
        lines += [[]] if before is not None and gap(before.kind, item.kind) else []
        lines += _lines(item_block(item, frame), width)
        if len(lines) > 4 * height:
            del lines[: -2 * height]
    if len(lines) > height:
        more = [("class:dim", "⋯ more above; it is shown whole when it is finished"[:width])]
        lines = [more, *lines[len(lines) - height + 1 :]]
    return lines


def prompt_lines(text: str, note: str, width: int) -> list[Line]:
    """Return a prompt that is on its way, with a `note` on how it is."""
    return _lines(Group(_prompt(text), Text(f"  {note}", "dim")), width)


def way_lines(ways: Sequence[Way], width: int) -> list[Line]:
    """Return the keys that answer Kiro, and what each does."""
    return _lines(Group(*(Text.assemble("  ", (way.key, "bold yellow"), f" {way.words}") for way in ways)), width)


def is_long(item: Item, width: int) -> bool:
    """Return whether what Kiro asks takes more rows than it gets while it waits for the answer."""
    return len(_lines(Text(details(item)), width - 4)) > ASKED_ROWS


def gap(before: str | None, kind: str) -> bool:
    """Return whether an empty line stands between two kinds of block; tools stand close together."""
    return not (before == kind == "tool")


def item_block(item: Item, frame: int | None = None) -> RenderableType:
    """Return how an item is shown; with a `frame` it is one that goes on."""
    shown = _item(item, frame)
    return Padding(shown, (0, 0, 0, 2)) if "agent" in item.data else shown


def _item(item: Item, frame: int | None) -> RenderableType:
    if item.kind == "tool":
        return _tool(item, frame)
    if item.kind == "prompt":
        return _prompt(item.text)
    if item.kind == "approval":
        return _approval(item, frame)
    if item.kind == "plan":
        signs = ((*_STEPS.get(status, ("·", "dim")), text) for status, text in plan_steps(item))
        return Group(*(Text.assemble((sign, colour), f" {text}") for sign, colour, text in signs))
    if item.kind == "thought":
        lines = excerpt(item.text, OUTPUT_LINES, end=frame is not None) or [""]
        return Text("\n".join(["✻ " + lines[0], *(f"  {line}" for line in lines[1:])]), "dim italic")
    if item.kind == "notice":
        level = item.data.get("level")
        return Text(f"! {clean(item.text)}", {"error": "red", "warning": "yellow"}.get(str(level), "blue"))
    prose = Prose(clean(item.text if frame is None else tail_of(item.text)))
    return Text(prose.markup) if prose.deep else prose


def _tool(item: Item, frame: int | None) -> RenderableType:
    sign, colour = _SIGNS.get(str(item.data.get("status")), (SPINNER[(frame or 0) % len(SPINNER)], "yellow"))
    head = Text.assemble((sign, colour), " ", (tool_name(item), "bold"))
    note, subject = tool_note(item), tool_subject(item)
    if note:
        head.append(f"  {note}", "yellow")
    if subject:
        head.append(f"  {subject}")
    going = sign not in "✓✗■"
    lines = excerpt(item.text, LIVE_OUTPUT_LINES if going else OUTPUT_LINES, end=going)
    head.no_wrap, head.overflow = True, "ellipsis"
    output = [Text(f"  │ {line}", "dim", no_wrap=True, overflow="ellipsis") for line in lines]
    return Group(head, *output)


def _approval(item: Item, frame: int | None) -> RenderableType:
    """What Kiro asks: whole, or with a `frame` shortened; once it is over, what became of it."""
    if not is_pending(item):
        sign, colour = ("✗", "red") if refused(item) else ("✓", "green")
        sign, colour = (sign, colour) if item.data.get("status") == "answered" else ("■", "yellow")
        return Text.assemble((sign, colour), f" {outcome(item)}")
    head = Text.assemble(("? ", "bold yellow"), (title(item), "bold"))
    return Group(head, _Body(details(item), None if frame is None else ASKED_ROWS))


class _Body:
    """Text behind a bar along all the rows it takes, at most `rows` of them."""

    def __init__(self, text: str, rows: int | None) -> None:
        self._text, self._rows = text, rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self._text:
            return
        rows = Text(self._text).wrap(console, max(1, options.max_width - 4))
        shown = rows[: self._rows]
        for row in shown:
            yield Text.assemble(("  │ ", "yellow"), row)
        if len(shown) < len(rows):
            yield Text(f"  │ … {len(rows) - len(shown)} more rows; it stands above, whole", "yellow")


def _prompt(text: str) -> RenderableType:
    lines = excerpt(text, PROMPT_LINES)
    return Group(*(_Barred(line) for line in lines))


class _Barred:
    """A line of a prompt, with a bar along all the rows it takes."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in Text(self._text, "bold").wrap(console, max(1, options.max_width - 2)) or [Text()]:
            yield Text.assemble(("▌ ", "cyan"), line)


def _ending(turn: Any, price: str) -> RenderableType:
    lines = ending(turn)
    colour = "yellow" if turn.state == "cancelled" else "red"
    sign = "■" if turn.state == "cancelled" else "✗"
    parts = [Text(f"{sign} {lines[0]}", colour), *(Text(f"  {line}") for line in lines[1:])] if lines else []
    return Group(*parts, *([Text(price, "dim")] if price else []))


class _PlainHeading(Heading):
    """A heading that stands on the left, in no box."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        yield self.text


class _PlainCode(CodeBlock):
    """A code block that is set in, without empty lines around it."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        yield Padding(Syntax(code, self.lexer_name, theme=self.theme, word_wrap=True), (0, 0, 0, 2))


class _PlainTable(TableElement):
    """A table without empty lines around it."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for part in super().__rich_console__(console, options):
            if isinstance(part, Table):
                part.show_edge = False
            yield part


class Prose(Markdown):
    """Markdown as a chat shows it: line breaks are kept, HTML is text, links show where they lead."""

    elements = {  # noqa: RUF012
        **Markdown.elements,
        "heading_open": _PlainHeading,
        "table_open": _PlainTable,
        "fence": _PlainCode,
        "code_block": _PlainCode,
    }

    def __init__(self, text: str) -> None:
        super().__init__("", code_theme="ansi_dark", hyperlinks=False)
        self.markup = text
        self.parsed = _PARSER.parse(text)
        for token in self.parsed:
            for child in token.children or ():
                if child.type == "softbreak":
                    child.type = "hardbreak"
        self.deep = any(token.level >= DEEPEST for token in self.parsed)


def tail_of(text: str) -> str:
    """Return the last lines of a long text, with the code block reopened that the cut goes through."""
    lines = text.split("\n")
    if len(lines) <= LIVE_SOURCE_LINES:
        return text
    head, tail = "\n".join(lines[:-LIVE_SOURCE_LINES]), "\n".join(lines[-LIVE_SOURCE_LINES:])
    fences = _FENCE.findall(head)
    return f"{fences[-1]}\n{tail}" if len(fences) % 2 else tail


def _lines(shown: RenderableType, width: int) -> list[Line]:
    """Lay out and return lines without space at their ends; empty ones at the beginning and end are dropped."""
    width = max(width, _NARROWEST)
    console = Console(
        file=io.StringIO(), width=width, theme=_THEME,
        force_terminal=True, color_system="truecolor", legacy_windows=False,
    )  # fmt: skip
    try:
        rows = console.render_lines(shown, pad=False)
    except (RecursionError, ValueError, IndexError, KeyError, AttributeError):
        # The layout of hostile Markdown failed; its source says the same.
        source = shown.markup if isinstance(shown, Prose) else "(this cannot be shown)"
        rows = console.render_lines(Text(source), pad=False)
    # Markdown elements each bring their own empty line; one between two of them is enough.
    apart = [any(part.text for part in row) for row in rows]
    lines = [_line(row) for row, here, before in zip(rows, apart, [False, *apart], strict=False) if here or before]
    while lines and not lines[0]:
        del lines[0]
    while lines and not lines[-1]:
        del lines[-1]
    return lines


def _line(row: Iterable[Segment]) -> Line:
    pieces = [(_style(part.style), clean(part.text).replace("\n", " ").replace("\t", "    ")) for part in row]
    while pieces and not pieces[-1][1].strip():
        pieces.pop()
    if pieces:
        pieces[-1] = (pieces[-1][0], pieces[-1][1].rstrip())
    return pieces


@lru_cache(maxsize=512)
def _style(style: Style | None) -> str:
    """Return a style of rich in prompt_toolkit's words. The sixteen colours of the terminal's own theme stay so."""
    if style is None:
        return ""
    names = ("bold", "dim", "italic", "underline", "strike", "reverse")
    words = [name for name in names if getattr(style, name)]
    for ground, color in (("fg", style.color), ("bg", style.bgcolor)):
        if color is None or color.type == ColorType.DEFAULT:
            continue
        if color.type == ColorType.STANDARD and color.number is not None:
            words.append(f"{ground}:{_NAMES[color.number]}")
        else:
            words.append(f"{ground}:{color.get_truecolor().hex}")
    return " ".join(words)
