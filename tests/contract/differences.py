"""Every deliberate difference between this bridge and AgentAPI, in one table.

Invariant: the contract tests expect different things of the two servers only through an entry of this table
(`Server.pick`), every entry is used by a test, and docs/agentapi.md shows `render()`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One deliberate difference: contract row, what each server does, and where it was decided."""

    id: str
    row: str
    agentapi: str
    bridge: str
    source: str


DIFFERENCES = (
    Difference(
        "transport",
        "1.4",
        "`transport` is `pty` (or `acp` in its experimental mode)",
        "`transport` is always `acp`: there is no terminal",
        "design 5",
    ),
    Difference(
        "banner",
        "3.2",
        "the list starts with agent message 0: what the terminal showed first",
        "the list starts empty; the first prompt is message 0, its answer 1",
        "contract 9, choice of transport",
    ),
    Difference(
        "padding",
        "3.3",
        "agent text is what an 80-column screen shows: wrapped and padded with spaces",
        "agent text is what the agent wrote, line by line",
        "contract W10",
    ),
    Difference(
        "gets-never-block",
        "1.4",
        "`GET`s wait while a `POST /message` is running",
        "`GET`s answer at once",
        "design 5, contract W6",
    ),
    Difference(
        "problem-type",
        "1.5",
        "busy and empty differ only in the text of `errors[0].message`",
        "the same status and text, and a machine-readable `type`",
        "design 5, contract W17",
    ),
    Difference(
        "enum-message",
        "1.5",
        "a wrong `type` is refused without a message",
        "the message names the allowed values",
        "contract W17",
    ),
    Difference(
        "foreign-origin",
        "1.7",
        "a `POST` from any web page is carried out",
        "a `POST` is 403 when its `Origin` is neither allowed nor this host, or `Sec-Fetch-Site` is `cross-site`",
        "design 5, contract W13",
    ),
    Difference(
        "loopback",
        "0",
        "listens on all interfaces",
        "listens on 127.0.0.1 unless told otherwise",
        "design 5, contract W13",
    ),
    Difference(
        "raw",
        "3.5",
        "raw text goes to the terminal as keystrokes",
        "`ESC` and `Ctrl-C` cancel the turn, `y`, `n`, `t` answer a pending approval, other raw text is refused (4xx)",
        "design 5",
    ),
    Difference(
        "screen",
        "2.5",
        "`/internal/screen` shows the terminal",
        "`/internal/screen` shows the text of the current or last answer",
        "contract 2.5, transport acp",
    ),
    Difference(
        "no-terminal",
        "1.5",
        "a terminal that does not react to Enter: 500 after 17 s",
        "there is no Enter: the prompt is accepted",
        "contract W12",
    ),
    Difference(
        "paste",
        "3.4",
        "`ESC[201~` in a prompt ends the paste; what follows becomes keystrokes",
        "a prompt reaches the agent byte for byte",
        "contract W12",
    ),
    Difference(
        "agent-missing",
        "4.4",
        "exits 1 when the agent's program cannot be started",
        "starts, is `stable`, and says `ready: false` with problem and remedy",
        "design 5, contract W24",
    ),
    Difference(
        "agent-death",
        "4.4",
        "ends with the agent, exit code 0 or 1",
        "the turn ends as failed, its cause and remedy stand in `/messages`, the next prompt works",
        "contract W24",
    ),
    Difference(
        "not-ready",
        "1.4",
        "`/status` has no more fields",
        "`/status` also has `ready`, and `problem` when it is false",
        "design 5",
    ),
    Difference(
        "same-reply",
        "3.8",
        "a reply equal to the last one is not recorded and the server stays `running` for ever",
        "each reply is recorded",
        "contract W1",
    ),
    Difference(
        "long-reply",
        "3.3",
        "what does not fit the 1000-line screen is lost",
        "replies are complete",
        "contract W4",
    ),
    Difference(
        "seen-before",
        "3.3",
        "a reply's first lines are dropped when the screen showed them before",
        "replies are complete",
        "contract W5",
    ),
    Difference(
        "crash",
        "4.1",
        "SIGKILL loses the conversation",
        "every accepted prompt and recorded item is still there",
        "contract W16",
    ),
    Difference(
        "unreadable-state",
        "4.1",
        "a state file that cannot be read is overwritten at shutdown",
        "it is set aside under another name beside the new one",
        "contract 9, do not copy",
    ),
    Difference(
        "upload-filename",
        "1.6",
        "a `file` part without a file name closes the connection without an answer",
        "422",
        "contract W18",
    ),
    Difference(
        "upload-kept",
        "1.6",
        "uploaded files are deleted at shutdown",
        "uploaded files stay as long as their session",
        "contract W18",
    ),
    Difference(
        "stdin-pipe",
        "3.7",
        "does not listen before its standard input ends",
        "listens at once; a pipe that ends is still the first prompt",
        "contract W20",
    ),
    Difference(
        "blank-initial-prompt",
        "3.7",
        "a blank initial prompt is sent as an empty user message",
        "a blank initial prompt is none",
        "contract 3.7, quirk",
    ),
    Difference(
        "sse-escape",
        "1.2",
        "`<`, `>` and `&` in SSE data are written as `\\u003c`, `\\u003e`, `\\u0026`",
        "they are written as they are; parsed, the data is the same",
        "contract 1.2, semantically identical",
    ),
    Difference(
        "heartbeat",
        "2.1",
        "nothing is sent between events",
        "comment lines keep an idle stream open",
        "contract 9, safe extensions",
    ),
    Difference(
        "chat-page",
        "1.8",
        "its own chat pages; a missing file is 200 (or 404 when built without them)",
        "this project's page; a missing file is 404",
        "contract 1.8, quirk",
    ),
    Difference(
        "docs-offline",
        "1.1",
        "`/docs` loads scripts and styles from the internet",
        "`/docs` needs nothing from elsewhere",
        "design 2, air-gapped",
    ),
    Difference(
        "agent-command",
        "5.2",
        "needs the agent's command line",
        "runs kiro-cli; a command line is neither needed nor used",
        "design 1",
    ),
    Difference(
        "agent-type",
        "5.2",
        "`agent_type` is what `--type` says, or is guessed from the agent's command",
        "`--type` is checked like there, `agent_type` is always `custom`",
        "design 5",
    ),
    Difference(
        "usage-exit",
        "4.4",
        "a wrong command line exits 1",
        "a wrong command line exits 2",
        "exit codes of this project",
    ),
    Difference(
        "bad-environment",
        "5.3",
        "a port or boolean in the environment that cannot be read is taken as 0 or false",
        "it is an error that names the variable, exit code 1",
        "contract 5.3, quirk",
    ),
    Difference(
        "stored-times",
        "3.1",
        "a loaded message keeps the very text of its time",
        "it keeps the moment, to the microsecond, and tells it in the server's zone",
        "times are numbers in the ledger",
    ),
)
_BY_ID = {difference.id: difference for difference in DIFFERENCES}


def by_id(name: str) -> Difference:
    """The entry with that id; KeyError where a test expects a difference that is not in the table."""
    return _BY_ID[name]


def render() -> str:
    """The table as Markdown, as docs/agentapi.md shows it."""
    head = ["| contract row | AgentAPI 0.12.1 | this bridge | decided in |", "| --- | --- | --- | --- |"]
    rows = [f"| {entry.row} | {entry.agentapi} | {entry.bridge} | {entry.source} |" for entry in DIFFERENCES]
    return "\n".join([*head, *rows]) + "\n"
