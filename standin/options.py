"""The options of `kiro-cli chat` and `kiro-cli acp`, each with the release it first appears in.

Invariant: the help text and the parser both come from this one table (facts/kiro-stores.md D.1, facts/kiro-cli.md
5.1). The wording is ours; flags, value names and value lists are the real program's. A first release that lies
between two recorded help texts is the earliest the facts allow [L].
"""

from __future__ import annotations

from dataclasses import dataclass

from standin.personality import Personality


@dataclass(frozen=True)
class Option:
    """One option. `value` is the placeholder of its value, empty for a switch; `values` are (name, meaning) pairs."""

    name: str
    text: str
    short: str = ""
    value: str = ""
    values: tuple[tuple[str, str], ...] = ()
    default: str = ""
    since: tuple[int, int, int] = (0, 0, 0)
    aliases: tuple[str, ...] = ()
    hidden_aliases: tuple[str, ...] = ()
    hidden_values: tuple[str, ...] = ()
    repeats: bool = False

    @property
    def flag(self) -> str:
        """The long flag, such as `--resume`."""
        return f"--{self.name}"


def _bare(*names: str) -> tuple[tuple[str, str], ...]:
    """Values that are listed in one line, without a meaning each."""
    return tuple((name, "") for name in names)


_FORMATS = (
    ("plain", "Readable text"),
    ("json", "One JSON document on one line"),
    ("json-pretty", "One JSON document, indented"),
)
_WRAPS = (
    ("always", "Break lines at the terminal's width"),
    ("never", "Leave lines as they are"),
    ("auto", "Break lines only for a terminal (default)"),
)
_STREAMS = (
    ("text", "Text for people"),
    ("stream-json", "The run's events as JSON Lines on stdout, each line complete in itself"),
)
_VERBOSE = Option("verbose", "Write more to the log", short="v", repeats=True)


def chat_options(personality: Personality) -> list[Option]:
    """The options this release has, in the order of its help text."""
    lists = "--list-models and --list-sessions" if personality.lists_sessions_as_json else "--list-models"
    classic = ("classic",) if personality.version >= (2, 4, 0) else ()
    engines = personality.engine_values
    table = [
        Option("resume", "Go on with the newest conversation of this folder", short="r"),
        Option("resume-id", "Go on with the conversation of this id", value="SESSION_ID", since=(2, 3, 0)),
        Option("resume-picker", "Choose a conversation of this folder from a list"),
        Option("sessions", "Open the list of sessions (V3/KAS only)", since=(2, 28, 0)),
        Option("agent", "Agent to use", value="AGENT"),
        Option("model", "Model to use", value="MODEL"),
        Option("effort", "Effort to begin with (low, medium, high, xhigh, max)", value="EFFORT", since=(2, 6, 0)),
        Option("trust-all-tools", "Let the model use every tool without asking", short="a"),
        Option(
            "trust-tools",
            "Let the model use only these tools without asking, as in '--trust-tools=fs_read,fs_write'; "
            "none with '--trust-tools='",
            value="TOOL_NAMES",
        ),
        Option("no-interactive", "Run without asking the user anything", hidden_aliases=("non-interactive",)),
        Option("list-sessions", "List the saved sessions of this folder", short="l"),
        Option("all-cwds", "With --list-sessions: list those of every folder", since=(2, 28, 0)),
        Option("list-models", "List the models and exit", since=(2, 3, 0)),
        Option(
            "format",
            f"Format of a list (with {lists})",
            short="f",
            value="FORMAT",
            values=_FORMATS,
            default="plain",
            since=(2, 3, 0),
        ),
        Option(
            "output-format",
            "Format of the answer: text (default), or stream-json for JSON Lines on stdout; "
            "stream-json implies --no-interactive",
            value="OUTPUT_FORMAT",
            values=_STREAMS,
            default="text",
            since=(2, 19, 2),
        ),
        Option("delete-session", "Delete the saved session of this id", short="d", value="SESSION_ID"),
        Option(
            "session-source",
            "With --delete-session: only in this store (default: both)",
            value="v1|v2",
            values=_bare("v1", "v2"),
            since=(2, 3, 0),
        ),
        Option("wrap", "Whether lines are wrapped (default: by the output)", short="w", value="WRAP", values=_WRAPS),
        Option("require-mcp-startup", "Exit with code 3 when an enabled MCP server does not start"),
        _VERBOSE,
        Option("tui", "Use the new terminal UI", since=(1, 27, 0)),
        Option("legacy-ui", "Use the classic engine and its UI", since=(1, 27, 0), aliases=classic),
        Option("agent-engine", "Engine to use", value="ENGINE", values=_bare(*engines), since=(2, 3, 0)),
        Option("v3", "Use the V3 engine", since=(2, 8, 0)),
        Option("v2", "Use the V2 engine", since=(2, 28, 0)),
        Option("mode", "Mode of the V3 engine", value="MODE", values=_bare(*personality.mode_values), since=(2, 3, 0)),
        Option("cloud", "Run in a cloud sandbox (V3/KAS only)", since=(2, 28, 0)),
        Option("repo", "Repository for a cloud session (only with --cloud)", value="REPO", since=(2, 28, 0)),
    ]
    if personality.version == (2, 28, 0):  # there -v stands before -w (facts/kiro-stores.md D.1)
        table.remove(_VERBOSE)
        table.insert([option.name for option in table].index("wrap"), _VERBOSE)
    return [option for option in table if personality.version >= option.since]


def acp_options(personality: Personality) -> list[Option]:
    """The options of `acp` in this release (facts/kiro-cli.md 6.1; no help text of it was recorded, so their order
    and first releases are [L] unless the personality names a source). `kas` was understood up to 2.19.1 (recordings),
    whatever the help says."""
    engines = personality.acp_engine_values
    table = [
        Option("agent", "Agent to use", value="AGENT"),
        Option("model", "Model to use", value="MODEL"),
        Option("effort", "Effort to begin with (low, medium, high, xhigh, max)", value="EFFORT", since=(2, 6, 0)),
        Option("trust-all-tools", "Let the model use every tool without asking", short="a"),
        Option("trust-tools", "Let the model use only these tools without asking", value="TOOL_NAMES"),
        Option(
            "agent-engine",
            "Engine to use",
            value="ENGINE",
            values=_bare(*engines),
            since=(2, 3, 0),
            hidden_values=("kas", "rust"),
        ),
        _VERBOSE,
    ]
    if personality.answers_for_itself:
        method = "Who answers v3's questions for an access token: with `cli` the program itself"
        table.insert(-1, Option("auth-method", method, value="AUTH_METHOD", values=_bare("cli")))
    return [option for option in table if personality.version >= option.since]
