"""Text output: styled by engine v1, raw by v2 and v3.

Invariant: v1 puts answer, tool headers and tool output on stdout and everything else on stderr, with the escape
sequences of the recordings (facts/kiro-cli.md 14 no. 21, recording `tools`); fences and back-ticks of Markdown never
reach stdout (3.4).
"""

from __future__ import annotations

import re

from standin import console
from standin.failures import DENIED, terminal_text
from standin.model import Call, Failure, Listener, Outcome, Said, TurnInfo
from standin.personality import Personality
from standin.tool_shapes import NAMES, V3_TITLES, absolute, v2_title

GREEN, BLUE, PINK, RESET = "\x1b[38;5;10m", "\x1b[38;5;12m", "\x1b[38;5;13m", "\x1b[0m"
BANNER = f"{PINK}(stand-in for kiro-cli: this is not Kiro){RESET}\n\n"
TRUSTED = "\x1b[38;5;2m (trusted)\x1b[39m"


class Styler:
    """Turns Markdown into styled text piece by piece; a mark that may go on in the next piece is held back."""

    _MARKS = re.compile(r"(```[^\n]*\n?|\*\*|`)")

    def __init__(self) -> None:
        self.held = ""
        self.bold = False
        self.fenced = False

    def feed(self, text: str, last: bool = False) -> str:
        """Styled text of this piece."""
        text = self.held + text
        self.held = ""
        if not last:
            keep = self._open_mark(text)
            text, self.held = text[:keep], text[keep:]
        return "".join(self._one(part) for part in self._MARKS.split(text))

    @staticmethod
    def _open_mark(text: str) -> int:
        """Where a mark begins that the end of the text may have cut."""
        fence = re.search(r"```[^\n]*$", text)
        if fence:
            return fence.start()
        return len(text) - len(re.search(r"[*`]*$", text).group())  # type: ignore[union-attr]

    def _one(self, part: str) -> str:
        if part.startswith("```"):
            self.fenced = not self.fenced
            return ""
        if part == "**" and not self.fenced:
            self.bold = not self.bold
            return "\x1b[1m" if self.bold else "\x1b[22m"
        return "" if part == "`" and not self.fenced else part


def _described(call: Call) -> str:
    """The lines under a tool's name (recording `tools`)."""
    if call.tool == "shell":
        purpose = f" \u21b3 {BLUE}Purpose: {RESET}{call.purpose or 'Run it'}\n\n"
        return (
            f" \u25cf I will run the following shell command: {GREEN}{call.args['command']}\n{RESET} \u22ee \n{purpose}"
        )
    path = absolute(str(call.args["path"]))
    verb = "Reading file: " if call.tool == "read" else "Writing file: "
    return f" \u25cf {verb}{GREEN}{path}{RESET}" + (", all lines\n" if call.tool == "read" else "\n")


class V1Text(Listener):
    """The classic engine's output. `allows` says whether a call's header is marked as trusted."""

    def __init__(self, personality: Personality) -> None:
        self.personality = personality
        self.styler = Styler()
        self.spoken = False

    def begin(self, info: TurnInfo) -> None:
        """Banner and model on stderr."""
        console.err(f"{BANNER}\U0001f916 You are chatting with {info.model}\n{RESET}\n\n{PINK}{RESET}\x1b[?25l")

    def message_begins(self, info: TurnInfo, said: Said) -> None:
        """A new answer begins with the first piece of text."""
        self.styler, self.spoken = Styler(), False

    def chunk(self, said: Said, text: str) -> None:
        """A styled piece, `> ` before the first."""
        if not self.spoken:
            self.spoken = True
            console.out(f"{GREEN}> {RESET}")
        console.out(self.styler.feed(text))

    def message_ends(self, info: TurnInfo, said: Said) -> None:
        """The resets after a text."""
        if self.spoken:
            console.out(self.styler.feed("", last=True) + f"{RESET}{RESET}\n")
        console.out(f"{RESET}{RESET}\n" * len(said.calls) if said.calls else "\n")

    def header(self, call: Call, trusted: bool) -> None:
        """What will run, also when it will be refused (recordings `tools`, `denied`)."""
        mark = TRUSTED if trusted else f"{RESET}{RESET}"
        console.out(
            f"\n{PINK}\U0001f6e0\ufe0f  Using tool: {NAMES['v1'][call.tool]}{mark}{RESET}\n \u22ee \n{_described(call)}"
        )

    def tool_output(self, call: Call, text: str) -> None:
        """Raw output of a command."""
        console.out(text)

    def tool_ends(self, info: TurnInfo, call: Call, outcome: Outcome) -> None:
        """How long it took, or why its arguments were refused (recording `tool_error`)."""
        if outcome.status == "error":
            problem = f"Failed to validate tool parameters: {outcome.text}"
            console.err(f"\x1b[1mTool validation failed: {RESET}\n\x1b[38;5;9m{problem}\n{RESET}")
            return
        if call.tool == "read":
            size = len(outcome.text.encode("utf-8", "replace"))
            console.out(
                f"{GREEN} \u2713 {RESET}Successfully read {size} bytes from {absolute(str(call.args['path']))}\n"
            )
        console.out(f" \u22ee \n{GREEN}\x1b[1m \u25cf Completed in {outcome.seconds:.1f}s{RESET}\n\n")

    def turn_ends(self, info: TurnInfo, stop_reason: str) -> None:
        """Credits on stderr: the positive proof of success (facts/kiro-cli.md 5.3)."""
        total, seconds = sum(said.credits for said in info.said), info.elapsed_ms // 1000
        ending = f" \u25b8 Credits: {total:.2f} \u2022 Time: {seconds}s\n"
        console.err(f"{RESET}\x1b[1G{RESET}{RESET}\x1b[?25h\n{ending}")

    def turn_fails(self, info: TurnInfo, failure: Failure) -> None:
        """The error on stderr."""
        console.err(f"{RESET}\x1b[1G{RESET}\x1b[?25h{terminal_text(failure)}")


class RawText(Listener):
    """Text output of v2 and v3: raw pieces on stdout, `[tool]` lines on stderr (facts/kiro-cli.md 5.4)."""

    def __init__(self, engine: str) -> None:
        self.engine = engine

    def chunk(self, said: Said, text: str) -> None:
        """A piece as it is."""
        console.out(text)

    def tool_begins(self, call: Call) -> None:
        """The call's title."""
        console.err(f"[tool] {V3_TITLES[call.tool] if self.engine == 'v3' else v2_title(call)}\n")

    def tool_ends(self, info: TurnInfo, call: Call, outcome: Outcome) -> None:
        """Its status; a refusal is said before it (facts/kiro-stores.md A.9 row 3)."""
        if outcome.status == "denied":
            console.err(DENIED)
        console.err(f"[tool] status: {'Completed' if outcome.status == 'ok' else 'Failed'}\n")

    def turn_ends(self, info: TurnInfo, stop_reason: str) -> None:
        """The last line ends ([L])."""
        console.out("\n")

    def turn_fails(self, info: TurnInfo, failure: Failure) -> None:
        """The error on stderr."""
        console.err(terminal_text(failure))
