"""Reading the command line of `chat` by the table of options.

Invariant: an option the played release does not have is an unknown option; a usage error ends with exit code 2 and the
message shape of facts/kiro-cli.md 14 no. 20 (recording `unknown_flag`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from standin.options import Option, chat_options
from standin.personality import Personality


class UsageError(Exception):
    """A command line the parser refuses; the text is the whole message for stderr."""


@dataclass
class ChatArguments:
    """What was asked: switches and values by option name (`resume`, `trust-tools`), and the prompt argument."""

    switches: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)
    prompt: str | None = None
    help: bool = False

    def has(self, name: str) -> bool:
        """Whether the option was given."""
        return name in self.switches or name in self.values


def _refuse(message: str, tip: str = "") -> UsageError:
    """A usage error in the parser's shape."""
    tip = f"\n  tip: {tip}\n" if tip else ""
    return UsageError(
        f"error: {message}\n{tip}\nUsage: kiro-cli-chat chat [OPTIONS] [INPUT]\n\nFor more information, try '--help'.\n"
    )


def _unknown(argument: str) -> UsageError:
    return _refuse(f"unexpected argument '{argument}' found", f"to pass '{argument}' as a value, use '-- {argument}'")


class _Reader:
    """Reads arguments one after the other into `result`."""

    def __init__(self, argv: list[str], personality: Personality) -> None:
        self.rest = list(argv)
        self.result = ChatArguments()
        self.by_flag: dict[str, Option] = {}
        for option in chat_options(personality):
            for name in (option.name, *option.aliases, *option.hidden_aliases):
                self.by_flag[f"--{name}"] = option
            if option.short:
                self.by_flag[f"-{option.short}"] = option

    def read(self) -> ChatArguments:
        """Everything, or UsageError."""
        while self.rest:
            argument = self.rest.pop(0)
            if argument == "--":
                for operand in self.rest:
                    self._operand(operand)
                break
            if argument.startswith("--"):
                self._long(argument)
            elif argument.startswith("-") and len(argument) > 1:
                self._short(argument)
            else:
                self._operand(argument)
        return self.result

    def _operand(self, argument: str) -> None:
        if self.result.prompt is not None:
            raise _refuse(f"unexpected argument '{argument}' found")
        self.result.prompt = argument

    def _long(self, argument: str) -> None:
        name, equals, value = argument.partition("=")
        if name == "--help":
            self.result.help = True
        elif name not in self.by_flag:
            raise _unknown(name)
        else:
            self._take(self.by_flag[name], value if equals else None)

    def _short(self, argument: str) -> None:
        letters = argument[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            option = self.by_flag.get(f"-{letter}")
            if letter == "h":
                self.result.help = True
            elif option is None:
                raise _unknown(f"-{letter}")
            elif option.value:
                self._take(option, letters.lstrip("=") or None)
                return
            else:
                self._take(option, None)

    def _take(self, option: Option, value: str | None) -> None:
        shown = f"{option.flag} <{option.value}>" if option.value else option.flag
        if self.result.has(option.name) and not option.repeats:
            raise _refuse(f"the argument '{shown}' cannot be used multiple times")
        if not option.value:
            if value is not None:
                raise _refuse(f"unexpected value '{value}' for '{option.flag}' found; no more were expected")
            self.result.switches.add(option.name)
            return
        if value is None:
            if not self.rest or (self.rest[0].startswith("-") and len(self.rest[0]) > 1):
                raise _refuse(f"a value is required for '{shown}' but none was supplied")
            value = self.rest.pop(0)
        allowed = [name for name, _ in option.values]
        if allowed and value not in allowed:
            raise _refuse(f"invalid value '{value}' for '{shown}'\n  [possible values: {', '.join(allowed)}]")
        self.result.values[option.name] = value


def parse_chat(argv: list[str], personality: Personality) -> ChatArguments:
    """The arguments after `chat`. Raises UsageError (exit code 2)."""
    return _Reader(argv, personality).read()
