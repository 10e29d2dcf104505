"""The chat for pipes and for terminals that cannot move their cursor: lines in, lines out.

Invariant: only text and newlines are written, and each block of the conversation once, when it is finished.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
from collections import deque
from typing import TextIO

from bridge.core.items import Item
from bridge.core.records import TURN_OVER, StoredItem
from bridge.core.text import strip_prompt
from bridge.errors import BridgeError
from bridge.terminal.approvals import details, outcome, title, ways
from bridge.terminal.arrival import turn_of_prompt
from bridge.terminal.clean import clean, clean_line
from bridge.terminal.client import Client, Refused, Unreachable
from bridge.terminal.follower import Connected, Follower, Gone, Happened, Loaded, Lost, News
from bridge.terminal.model import Block, Conversation, OutOfStep, Said, Transcript
from bridge.terminal.wording import cost, ending, excerpt, plan_steps, tool_name, tool_status, tool_subject

OUTPUT_LINES = 6


class LineChat:
    """Reads prompts from `source`, one for each line, and prints the conversation.

    A line that ends with a backslash goes on in the next. Without a terminal `source` is one prompt as a whole.
    """

    def __init__(self, client: Client, session: str | None, history: int, source: TextIO, out: TextIO) -> None:
        self._client, self._named, self._history = client, session, history
        self._source, self._out = source, out
        self._typed = source.isatty()
        self._conversation = Conversation()
        self._transcript = Transcript()
        self._news: deque[News] = deque()
        self._wake_read, self._wake_write = os.pipe()
        self._partial = b""
        self._draft: list[str] = []
        self._kept = ""
        self._before = 0
        self._sent: int | None = None
        self._echoed: str | None = None
        self._uncertain = ""
        self._connected = False
        self._interrupts = 0
        self._asked = False
        self._questions: set[int] = set()
        self._result: int | None = None

    def run(self) -> int:
        """Chat until the input ends or Ctrl-C is pressed twice; return the exit code.

        Without a terminal to type in, the code is 1 when the turn was not completed.
        """
        os.set_blocking(self._wake_write, False)
        if not self._typed:
            text = self._source.read()
            self._kept = text if text.strip() else ""
        before = signal.signal(signal.SIGINT, self._interrupted)
        try:
            with Follower(self._client, self._named, self._history, self._report) as follower:
                return self._loop(follower)
        finally:
            signal.signal(signal.SIGINT, before)
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _loop(self, follower: Follower) -> int:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, selectors.EVENT_READ)
            if self._typed:
                selector.register(self._source.fileno(), selectors.EVENT_READ)
            while True:
                ready = [key.fd for key, _ in selector.select()]
                if self._wake_read in ready:
                    os.read(self._wake_read, 4096)
                    self._stop_if_asked()
                    self._catch_up(follower)
                elif self._typed:
                    self._read()
                if self._result is not None:
                    return self._result

    def _report(self, news: News) -> None:
        self._news.append(news)
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: it wakes us all the same
            os.write(self._wake_write, b"x")

    def _interrupted(self, *_: object) -> None:
        """Note Ctrl-C. One that was not looked at yet means that something hangs: leave at once."""
        self._interrupts += 1
        if self._interrupts > 1:
            raise KeyboardInterrupt
        self._wake()

    def _stop_if_asked(self) -> None:
        if not self._interrupts:
            return
        self._interrupts = 0
        if self._asked or self._conversation.running() is None or not self._connected:
            self._leave(0 if self._typed else 1)
            return
        self._asked = True
        self._say("\n(stopping; Ctrl-C again leaves)")
        try:
            self._client.cancel(str(self._conversation.session["id"]))
        except BridgeError as error:
            self._say(f"({error})")

    def _catch_up(self, follower: Follower) -> None:
        while self._news and self._result is None:
            self._take(follower, self._news.popleft())
        self._print_news()

    def _take(self, follower: Follower, news: News) -> None:
        match news:
            case Loaded():
                self._loaded(news)
            case Connected():
                self._is_connected(news.problem)
            case Happened():
                try:
                    self._conversation.apply(news.name, news.data)
                except OutOfStep:
                    follower.reload()
            case Lost():
                self._connected = False
                self._say(f"(connection lost: {clean(news.reason)}; reconnecting)")
            case Gone():
                self._say(f"error: {news.error}")
                self._leave(1)

    def _loaded(self, news: Loaded) -> None:
        if self._conversation.session and self._conversation.session["id"] != news.session["id"]:
            self._say("(the bridge has begun a new conversation)")
            self._transcript = Transcript()
        self._conversation.load(news.session, news.page)

    def _is_connected(self, problem: str) -> None:
        again, self._connected = self._connected, True
        for block in self._transcript.take(self._conversation):
            self._print(block)
        if problem and not again:
            self._say(f"({clean(problem)})")
        self._ask_what_kiro_asks()
        if self._uncertain:
            self._ask_what_arrived()
        if self._result is None and not self._typed and self._kept and not self._uncertain:
            self._send()
        self._go_on(not again)

    def _ask_what_arrived(self) -> None:
        """Find out whether the prompt had arrived when the connection broke."""
        try:
            found = turn_of_prompt(self._client, self._conversation.session, self._uncertain, self._before)
        except BridgeError:  # the bridge is away: we look again when it is back
            return
        lost, self._uncertain = self._uncertain, ""
        if found is not None:
            self._sent = found.id
        elif self._typed:
            self._kept = f"{lost}\n{self._kept}" if self._kept else lost
            self._say("(your prompt did not arrive; it is kept: Enter sends it)")
        else:
            self._say("error: The connection broke before the bridge had the prompt. Send it again.")
            self._leave(1)

    def _print_news(self) -> None:
        blocks = self._transcript.take(self._conversation)
        for block in blocks:
            self._print(block)
        self._ask_what_kiro_asks()
        self._go_on(bool(blocks))

    def _ask_what_kiro_asks(self) -> None:
        """Show once what Kiro waits for, with the ways to answer where there is a terminal to type in."""
        asked = self._conversation.pending()
        if asked is None or asked.id in self._questions or self._result is not None:
            return
        self._questions.add(asked.id)
        self._say(
            "\n".join([f"Kiro asks: {title(asked.item)}", *(f"    {x}" for x in details(asked.item).splitlines())])
        )
        if not self._typed:
            self._say(f"(answer it on the page {self._client.url}/ or with `kiro-bridge attach`)")
            return
        for way in ways(asked.item):
            self._say(f"  {way.key}{' and a reason' if way.why else ''}: {way.words}")
        self._ask_for_input()

    def _answers(self, asked: StoredItem, text: str) -> bool:
        """Answer what Kiro asks, if the text is one of the ways to do so; return whether it was."""
        word, _, reason = text.strip().partition(" ")
        way = next((way for way in ways(asked.item) if way.key == word and bool(reason) == way.why), None)
        if way is None:
            return False
        try:
            self._client.answer(str(self._conversation.session["id"]), asked.id, way.option, reason.strip())
        except BridgeError as error:
            self._say(f"({error})")
        return True

    def _busy(self) -> bool:
        sent = None if self._sent is None else self._conversation.turn(self._sent)
        unseen = self._sent is not None and (sent is None or sent.state not in TURN_OVER)
        return unseen or self._conversation.running() is not None

    def _go_on(self, printed: bool) -> None:
        """Once nothing runs, ask for the next prompt; without a terminal to type in, leave."""
        if self._busy() or not self._connected or self._uncertain or self._result is not None:
            return
        self._asked = False
        if self._typed:
            if printed:
                self._ask_for_input()
        elif not self._kept:
            sent = None if self._sent is None else self._conversation.turn(self._sent)
            self._leave(0 if sent is None or sent.state == "completed" else 1)

    def _print(self, block: Block) -> None:
        if isinstance(block, Said):
            if self._typed and block.item.kind == "prompt" and block.item.text == self._echoed:
                self._echoed = None
                return
            lines = ["(corrected)"] if block.corrected else []
            lines += item_lines(block.item)
        else:
            lines = ending(block.turn)
            price = cost(block.usage)
            lines += [f"({price})"] if price else []
        if lines:
            self._say("\n".join(lines) + "\n")

    def _ask_for_input(self) -> None:
        if self._kept:
            self._say("(your prompt was kept: Enter sends it)")
        self._out.write("> ")
        self._out.flush()

    def _say(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()

    def _leave(self, code: int) -> None:
        if self._typed and self._conversation.running() is not None and self._connected:
            self._say("(left; Kiro goes on, and `kiro-bridge attach` comes back to it)")
        self._result = code

    def _read(self) -> None:
        data = os.read(self._source.fileno(), 65536)
        if not data:
            self._say("")
            self._leave(0)
            return
        *whole, self._partial = (self._partial + data).split(b"\n")
        for line in whole:
            text = line.decode("utf-8", "replace").rstrip("\r")
            if text.endswith("\\"):
                self._draft.append(text[:-1])
                continue
            self._entered("\n".join([*self._draft, text]))
            self._draft = []

    def _entered(self, text: str) -> None:
        asked = self._conversation.pending()
        if asked is not None and self._connected and self._answers(asked, text):
            return
        if text.strip():
            self._kept = f"{self._kept}\n{text}" if self._kept else text
        if not self._kept:
            self._ask_for_input()
        elif not self._connected or self._uncertain:
            self._say("(not connected; your prompt is kept: Enter sends it once the bridge is back)")
        elif asked is not None:
            self._say("(Kiro waits for your answer first; your prompt is kept: Enter sends it once Kiro is done)")
        elif self._busy():
            self._say("(Kiro is still working; your prompt is kept: Enter sends it once Kiro is done)")
        else:
            self._send()

    def _send(self) -> None:
        self._before = self._conversation.last_turn()
        try:
            self._sent = self._client.send(str(self._conversation.session["id"]), self._kept)
            self._echoed, self._kept = strip_prompt(self._kept), ""
        except Unreachable as error:
            if error.sent:
                self._uncertain, self._kept = self._kept, ""
                self._ask_what_arrived()
            elif self._typed:
                self._say("(the bridge did not answer; your prompt is kept: Enter sends it)")
        except Refused as error:
            self._say(f"({error})" if self._typed else f"error: {error}")
            if not self._typed:
                self._leave(1)


def item_lines(item: Item) -> list[str]:
    """Return an item as lines of plain text."""
    if item.kind == "tool":
        subject = tool_subject(item)
        head = f"[{tool_name(item)}] {f'{subject}: ' if subject else ''}{tool_status(item)}"
        return [head, *(f"    {line}" for line in excerpt(item.text, OUTPUT_LINES))]
    text = clean(item.text).strip("\n")
    if item.kind == "prompt":
        return [f"You: {text}"]
    if item.kind == "thought":
        return [f"(thinking) {line}" for line in excerpt(item.text, OUTPUT_LINES)]
    if item.kind == "approval":
        return [f"[approval] {outcome(item)}"]
    if item.kind == "plan":
        return ["[plan]", *(f"    {status}: {step}" for status, step in plan_steps(item))]
    if item.kind == "notice":
        return [f"[{clean_line(str(item.data.get('level') or 'info'), 20)}] {text}"]
    return [text]
