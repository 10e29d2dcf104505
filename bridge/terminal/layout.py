"""The lower part of the screen: what is going on, the input, and the status line.

Invariant: no line fills the whole width, so that a terminal that wraps its lines anew when it gets narrower leaves no
rests of it behind.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import ConditionalContainer, Dimension, HSplit, Layout, VerticalAlign, Window
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
from prompt_toolkit.layout.processors import AfterInput, ConditionalProcessor
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import Style

from bridge.terminal.render import Line

INPUT_LINES = 10
SIGN = "\u276f "
PLACEHOLDER = "Write to Kiro"
STYLE = Style.from_dict(
    {
        "dim": "ansibrightblack",
        "mark": "ansicyan bold",
        "good": "ansigreen",
        "busy": "ansiyellow",
        "bad": "ansired",
    }
)


def application(
    buffer: Buffer,
    keys: KeyBindings,
    live: Callable[[], list[Line]],
    note: Callable[[], str],
    status: Callable[[], Line],
) -> Application[int]:
    """Return the application around `buffer`; the callables say what its parts show whenever it is drawn."""
    body = HSplit(
        [_live(live), Window(height=1), _input(buffer), _note(note), Window(_lines(lambda: [status()]), height=1)],
        align=VerticalAlign.BOTTOM,
    )
    output = Vt100_Output.from_pty(sys.stdout, term=os.environ.get("TERM"))
    # Terminals that do not answer where their cursor is would get a warning, slow ones the answer as typed text.
    output.enable_cpr = False
    return Application(
        layout=Layout(body), key_bindings=keys, style=STYLE, output=output, erase_when_done=True, full_screen=False
    )


def fragments(lines: list[Line]) -> StyleAndTextTuples:
    """Return lines as one text, each with its line end."""
    found: StyleAndTextTuples = []
    for line in lines:
        found += [*line, ("", "\n")]
    return found


def _lines(lines: Callable[[], list[Line]]) -> FormattedTextControl:
    return FormattedTextControl(lambda: fragments(lines())[:-1], focusable=False)


def _live(live: Callable[[], list[Line]]) -> ConditionalContainer:
    window = Window(_lines(live), height=lambda: Dimension.exact(len(live())), wrap_lines=False)
    return ConditionalContainer(window, Condition(lambda: bool(live())))


def _input(buffer: Buffer) -> Window:
    hint = ConditionalProcessor(AfterInput(PLACEHOLDER, style="class:dim"), Condition(lambda: not buffer.text))
    return Window(
        BufferControl(buffer, input_processors=[hint]),
        height=Dimension(min=1, max=INPUT_LINES),
        wrap_lines=True,
        dont_extend_height=True,
        get_line_prefix=lambda line, wrap: [("class:mark", "  " if line or wrap else SIGN)],
    )


def _note(note: Callable[[], str]) -> ConditionalContainer:
    window = Window(_lines(lambda: [[("class:busy", f"  {note()}")]]), wrap_lines=True, dont_extend_height=True)
    return ConditionalContainer(window, Condition(lambda: bool(note())))
