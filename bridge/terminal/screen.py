"""The chat for a terminal that can move its cursor.

What is finished is printed above and becomes part of the terminal's own history; only the lower part, with what is
still going on, the input and the status line, is drawn anew.

Invariants: everything runs in one event loop, and requests in threads; what was typed leaves the input only for the
bridge, and comes back into it when the bridge did not take it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.keys import Keys
from prompt_toolkit.renderer import print_formatted_text

from bridge.core.items import Item
from bridge.errors import BridgeError
from bridge.terminal.answering import Answering
from bridge.terminal.approvals import KEYS, Way
from bridge.terminal.arrival import turn_of_prompt
from bridge.terminal.clean import clean
from bridge.terminal.client import Client, Unreachable
from bridge.terminal.follower import Connected, Follower, Gone, Happened, Loaded, Lost, News
from bridge.terminal.layout import INPUT_LINES, application, fragments
from bridge.terminal.model import Block, Conversation, OutOfStep, Said, Transcript
from bridge.terminal.render import Line, block_lines, gap, is_long, live_lines, prompt_lines, way_lines
from bridge.terminal.status import Situation, status_line

PAUSE = 0.08
SPIN = 0.25
NOTE_SECONDS = 10.0
REDRAWN = 300


@dataclass
class Outgoing:
    """A prompt on its way.

    `before` is the newest turn when it was sent; `uncertain` tells that the connection broke meanwhile.
    """

    text: str
    before: int
    uncertain: bool = False


class ScreenChat:
    """A chat with a session, the primary one unless it is named."""

    def __init__(self, client: Client, session: str | None, history: int) -> None:
        self._client, self._named, self._history = client, session, history
        self._conversation = Conversation()
        self._transcript = Transcript()
        self._past = InMemoryHistory()
        self._buffer = Buffer(multiline=True, history=self._past, on_text_changed=lambda _: self._typed())
        self._app = application(self._buffer, self._keys(), lambda: self._live, self._current_note, self._status)
        self._follower = Follower(client, session, history, self._report)
        self._loop: asyncio.AbstractEventLoop
        self._dirty: asyncio.Event
        self._tasks: set[asyncio.Task[None]] = set()
        self._live: list[Line] = []
        self._shown: deque[Block | str] = deque(maxlen=REDRAWN)
        self._last_kind: str | None = None
        self._width = 0
        self._frame = 0
        self._note, self._note_until = "", 0.0
        self._situation = Situation()
        self._answering = Answering()
        self._outgoing: Outgoing | None = None
        self._leaving = self._left = False
        self._failure: BridgeError | None = None

    def run(self) -> int:
        """Chat until the person leaves; return the exit code. Raises `BridgeError` when there is nothing to follow."""
        try:
            code = asyncio.run(self._run())
        except EOFError:  # the terminal is gone
            return 0
        if self._failure is not None:
            raise self._failure
        self._say_goodbye()
        return code

    async def _run(self) -> int:
        self._loop = asyncio.get_running_loop()
        self._dirty = asyncio.Event()
        self._width = self._columns()
        with self._follower:
            self._spawn(self._paint_for_ever())
            try:
                return await self._app.run_async()
            finally:
                self._left = True
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and self._app.is_running:
            self._app.exit(exception=error)

    def _report(self, news: News) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody is there to be told
            self._loop.call_soon_threadsafe(self._take, news)

    # What happens in the conversation

    def _take(self, news: News) -> None:
        match news:
            case Loaded():
                self._loaded(news)
            case Connected():
                self._is_connected(news.problem)
            case Happened():
                self._happened(news)
            case Lost():
                self._situation.connected = False
            case Gone():
                self._failure = news.error
                self._leave()
        self._dirty.set()

    def _loaded(self, news: Loaded) -> None:
        known = self._conversation.session.get("id")
        self._conversation.load(news.session, news.page)
        if known == news.session["id"]:
            return
        self._transcript = Transcript()
        if known is not None:
            self._add(_notice("The bridge has begun a new conversation.", "info"))
        older = f" · the last {self._history} parts, --history N shows more" if self._conversation.more else ""
        self._add(f"Kiro · {news.session['cwd']} · {self._client.url}{older}")
        for turn in self._conversation.turns():
            if turn.prompt:
                self._past.append_string(turn.prompt)

    def _is_connected(self, problem: str) -> None:
        if problem and problem != self._situation.problem:
            self._add(_notice(problem, "error"))
        self._situation = Situation(True, True, self._situation.stopping, problem)
        if self._outgoing is not None and self._outgoing.uncertain:
            self._spawn(self._ask_what_arrived(self._outgoing))

    def _happened(self, news: Happened) -> None:
        try:
            self._conversation.apply(news.name, news.data)
        except OutOfStep:
            self._follower.reload()
        turns = self._conversation.turns()
        if self._conversation.running() is None and self._outgoing is None:
            self._situation.stopping = False
        if turns and turns[-1].state == "completed":
            self._situation.problem = ""
        outgoing = self._outgoing
        if outgoing is not None and self._conversation.accepted(outgoing.text, outgoing.before) is not None:
            self._outgoing = None

    # Keys

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        keys.add("enter", eager=True)(lambda _: self._enter())
        for newline in (("escape", "enter"), ("c-j",)):
            keys.add(*newline, eager=True)(lambda _: self._buffer.insert_text("\n"))
        keys.add("c-d", eager=True)(lambda _: self._end_of_input())
        for interrupt in ("c-c", Keys.SIGINT):
            keys.add(interrupt, eager=True)(lambda _: self._interrupt())
        for key in KEYS:
            answers = Condition(functools.partial(self._answers, key))
            keys.add(key, filter=answers, eager=True)(lambda _, key=key: self._answer(key))
        return keys

    def _enter(self) -> None:
        text = self._buffer.text
        if not text.strip():
            return
        if self._answering.why is not None and self._situation.connected:
            self._give(self._answering.why, text)
        elif not self._situation.connected:
            self._tell("Not connected: your text stays here until the bridge is back.")
        elif self._answering.asked is not None:
            self._tell("Kiro waits for your answer: your text stays here. The keys count while the input is empty.")
        elif self._outgoing is not None or self._conversation.running() is not None:
            self._tell("Kiro is still working: your text stays here. Ctrl-C stops Kiro.")
        else:
            self._tell("")
            self._outgoing = Outgoing(text, self._conversation.last_turn())
            self._buffer.reset(append_to_history=True)
            self._spawn(self._send(self._outgoing))
            self._dirty.set()

    def _end_of_input(self) -> None:
        if self._buffer.text:
            self._tell("Ctrl-D leaves when the input is empty; Ctrl-C twice leaves at once.")
        else:
            self._leave()

    def _answers(self, key: str) -> bool:
        """Return whether a key answers Kiro, rather than being text."""
        return any(way.key == key for way in self._ways())

    def _answer(self, key: str) -> None:
        for way in self._ways():
            if way.key == key and way.why:
                self._answering.why = way
            elif way.key == key:
                self._give(way, "")
        self._dirty.set()

    def _ways(self) -> list[Way]:
        """Return the ways to answer Kiro with a key; none while there is text in the input."""
        free = not self._buffer.text and self._situation.connected
        return self._answering.ways(time.monotonic()) if free else []

    def _give(self, way: Way, reason: str) -> None:
        asked = self._answering.asked
        if asked is not None:
            self._answering.sent(asked.id)
            self._buffer.reset()
            self._spawn(self._send_answer(asked.id, way, reason))

    def _interrupt(self) -> None:
        if self._answering.why is not None:
            self._answering.why = None
        elif self._leaving or self._situation.stopping:
            self._leave()
        elif self._situation.connected and self._outgoing is not None:
            self._situation.stopping = True
        elif self._situation.connected and self._conversation.running() is not None:
            self._situation.stopping = True
            self._spawn(self._cancel())
        else:
            self._leaving = True
            self._tell("Ctrl-C again leaves.")
        self._dirty.set()

    def _typed(self) -> None:
        self._leaving = False
        self._tell("")

    def _leave(self) -> None:
        if self._app.is_running and not self._app.is_done:
            self._app.exit(result=0)

    # Requests

    async def _send(self, outgoing: Outgoing) -> None:
        try:
            await asyncio.to_thread(self._client.send, str(self._conversation.session["id"]), outgoing.text)
        except Unreachable as error:
            outgoing.uncertain = error.sent
            if not error.sent:
                self._take_back(outgoing, "The bridge did not answer: your text is kept.")
            elif self._situation.connected:
                await self._ask_what_arrived(outgoing)
        except BridgeError as error:
            self._take_back(outgoing, clean(str(error)))
        else:
            if self._situation.stopping:
                await self._cancel()

    async def _ask_what_arrived(self, outgoing: Outgoing) -> None:
        """Find out whether the prompt had arrived when the connection broke."""
        with contextlib.suppress(BridgeError):
            session = self._conversation.session
            found = await asyncio.to_thread(turn_of_prompt, self._client, session, outgoing.text, outgoing.before)
            if found is None:
                self._take_back(outgoing, "Your text had not arrived when the connection broke: it is kept.")

    def _take_back(self, outgoing: Outgoing, reason: str) -> None:
        if self._outgoing is not outgoing:
            return
        self._outgoing, self._situation.stopping = None, False
        typed_since = self._buffer.text
        self._buffer.text = f"{outgoing.text}\n{typed_since}" if typed_since else outgoing.text
        self._buffer.cursor_position = len(self._buffer.text)
        self._tell(reason)
        self._dirty.set()

    async def _send_answer(self, item_id: int, way: Way, reason: str) -> None:
        session = str(self._conversation.session["id"])
        try:
            await asyncio.to_thread(self._client.answer, session, item_id, way.option, reason)
        except BridgeError as error:
            self._answering.failed(item_id)
            if reason and not self._buffer.text:
                self._buffer.text = reason
            self._tell(clean(str(error)))
            self._dirty.set()

    async def _cancel(self) -> None:
        try:
            await asyncio.to_thread(self._client.cancel, str(self._conversation.session["id"]))
        except BridgeError as error:
            self._situation.stopping = False
            self._tell(clean(str(error)))

    # Drawing

    async def _paint_for_ever(self) -> None:
        while not self._left:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._dirty.wait(), SPIN if self._moving() else 2 * SPIN)
            self._dirty.clear()
            self._frame = int(time.monotonic() / SPIN)
            self._paint()
            await asyncio.sleep(PAUSE)

    def _paint(self) -> None:
        if self._width != self._columns():
            self._print_anew()
        self._look_what_is_asked()
        blocks = self._transcript.take(self._conversation)
        self._live = self._live_lines(blocks)
        if blocks:
            self._add(*blocks)
        self._app.invalidate()

    def _look_what_is_asked(self) -> None:
        """Note what Kiro asks; what has no room below is written above, so that nothing unseen is allowed."""
        asked = self._conversation.pending()
        if self._answering.look(asked, time.monotonic()) and asked is not None and is_long(asked.item, self._width):
            self._add(Said(asked.item))

    def _live_lines(self, blocks: list[Block]) -> list[Line]:
        said = [block.item.kind for block in blocks if isinstance(block, Said)]
        before = said[-1] if said else self._last_kind
        items = self._transcript.live(self._conversation)
        room = max(3, self._app.output.get_size().rows - INPUT_LINES // 2 - 4)
        keys = way_lines(self._ways(), self._width - 1)
        lines = live_lines(items, self._width - 1, max(3, room - len(keys)), self._frame) if items else []
        lines += keys
        if lines and gap(before, items[0].kind):
            lines.insert(0, [])
        outgoing = self._outgoing
        if outgoing is not None:
            note = "not known whether it arrived; reconnecting" if outgoing.uncertain else "sending"
            lines += [[], *prompt_lines(outgoing.text, note, self._width - 1)[-room:]]
        return lines

    def _add(self, *blocks: Block | str) -> None:
        self._shown += blocks
        self._print(blocks)

    def _print(self, blocks: Sequence[Block | str]) -> None:
        """Write blocks above the lower part, for good."""
        self._app.renderer.erase()
        print_formatted_text(self._app.output, fragments(self._lines(blocks)), self._app.renderer.style)
        self._app.invalidate()

    def _lines(self, blocks: Sequence[Block | str]) -> list[Line]:
        lines: list[Line] = []
        for block in blocks:
            text = [[("class:dim", clean(block))]] if isinstance(block, str) else block_lines(block, self._width - 1)
            kind = block.item.kind if isinstance(block, Said) else "end"
            if text:
                lines += [[], *text] if gap(self._last_kind, kind) else text
                self._last_kind = kind
        return lines

    def _print_anew(self) -> None:
        """After the width has changed, write what was on the screen once more."""
        self._width = self._columns()
        rows = self._app.output.get_size().rows
        blocks: list[Block | str] = []
        height = 0
        for block in reversed(self._shown):
            if height >= rows:
                break
            blocks.insert(0, block)
            height += 2 if isinstance(block, str) else 1 + len(block_lines(block, self._width - 1))
        self._app.renderer.clear()
        self._last_kind = None
        self._print(blocks)

    def _columns(self) -> int:
        return self._app.output.get_size().columns

    # The status line

    def _tell(self, text: str) -> None:
        self._note, self._note_until = text, time.monotonic() + NOTE_SECONDS

    def _current_note(self) -> str:
        return self._note if time.monotonic() < self._note_until else ""

    def _moving(self) -> bool:
        return self._conversation.running() is not None or not self._situation.connected or self._outgoing is not None

    def _status(self) -> Line:
        self._situation.why = self._answering.why is not None
        return status_line(self._situation, self._conversation, time.time(), self._frame, self._columns())

    def _say_goodbye(self) -> None:
        if self._conversation.running() is not None:
            print("Left. Kiro goes on; `kiro-bridge attach` comes back to it.")
        unsent = self._buffer.text.strip()
        if unsent:
            print(f"Not sent:\n{clean(unsent)}")


def _notice(text: str, level: str) -> Said:
    """Return something the chat itself has to say, as a block."""
    return Said(Item(key="", kind="notice", position=0, text=text, data={"level": level}))
