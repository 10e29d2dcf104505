"""Reading the command lines of `chat` and `acp` by the tables of options.

Invariant: an option the played release does not have is an unknown option; a usage error ends with exit code 2 and the
message shape of facts/kiro-cli.md 14 no. 20 (recording `unknown_flag`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from standin.options import Option, acp_options, chat_options
from standin.personality import Personality


class UsageError(Exception):
    """A command line the parser refuses; the text is the whole message for stderr."""


@dataclass
class Arguments:
    """What was asked: switches and values by option name (`resume`, `trust-tools`), and the prompt argument."""

    switches: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)
    prompt: str | None = None
    help: bool = False

    def has(self, name: str) -> bool:
        """Whether the option was given."""
        return name in self.switches or name in self.values


CHAT = "chat [OPTIONS] [INPUT]"
ACP = "acp [OPTIONS]"


class _Reader:
    """Reads arguments one after the other into `result`; `usage` is what a refusal names."""

    def __init__(self, argv: list[str], options: list[Option], usage: str) -> None:
        self.rest = list(argv)
        self.usage = usage
        self.result = Arguments()
        self.by_flag: dict[str, Option] = {}
        for option in options:
            for name in (option.name, *option.aliases, *option.hidden_aliases):
                self.by_flag[f"--{name}"] = option
            if option.short:
                self.by_flag[f"-{option.short}"] = option

    def read(self) -> Arguments:
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

    def _refuse(self, message: str, tip: str = "") -> UsageError:
        """A usage error in the parser's shape."""
        tip = f"\n  tip: {tip}\n" if tip else ""
        help_line = "For more information, try '--help'."
        return UsageError(f"error: {message}\n{tip}\nUsage: kiro-cli-chat {self.usage}\n\n{help_line}\n")

    def _unknown(self, argument: str) -> UsageError:
        tip = f"to pass '{argument}' as a value, use '-- {argument}'"
        return self._refuse(f"unexpected argument '{argument}' found", tip if self.usage == CHAT else "")

    def _operand(self, argument: str) -> None:
        if self.result.prompt is not None or self.usage != CHAT:
            raise self._refuse(f"unexpected argument '{argument}' found")
        self.result.prompt = argument

    def _long(self, argument: str) -> None:
        name, equals, value = argument.partition("=")
        if name == "--help":
            self.result.help = True
        elif name not in self.by_flag:
            raise self._unknown(name)
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
                raise self._unknown(f"-{letter}")
            elif option.value:
                self._take(option, letters.lstrip("=") or None)
                return
            else:
                self._take(option, None)

    def _take(self, option: Option, value: str | None) -> None:
        shown = f"{option.flag} <{option.value}>" if option.value else option.flag
        if self.result.has(option.name) and not option.repeats:
            raise self._refuse(f"the argument '{shown}' cannot be used multiple times")
        if not option.value:
            if value is not None:
                raise self._refuse(f"unexpected value '{value}' for '{option.flag}' found; no more were expected")
            self.result.switches.add(option.name)
            return
        if value is None:
            if not self.rest or (self.rest[0].startswith("-") and len(self.rest[0]) > 1):
                raise self._refuse(f"a value is required for '{shown}' but none was supplied")
            value = self.rest.pop(0)
        allowed = [name for name, _ in option.values]
        if allowed and value not in allowed and value not in option.hidden_values:
            raise self._refuse(f"invalid value '{value}' for '{shown}'\n  [possible values: {', '.join(allowed)}]")
        self.result.values[option.name] = value


def parse_chat(argv: list[str], personality: Personality) -> Arguments:
    """The arguments after `chat`. Raises UsageError (exit code 2)."""
    return _Reader(argv, chat_options(personality), CHAT).read()


def parse_acp(argv: list[str], personality: Personality) -> Arguments:
    """The arguments after `acp`. Raises UsageError (exit code 2)."""
    return _Reader(argv, acp_options(personality), ACP).read()
