"""Every setting of the bridge, declared once.

Invariant: a setting that is not here does not exist. Each value is valid in itself and with the others once `load` has
made it; a default that is derived from other settings stands below them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bridge.settings.declaration import Setting, declare
from bridge.settings.kinds import (
    Address,
    Choice,
    Directory,
    FilePath,
    Folders,
    Hosts,
    Line,
    Origins,
    Prose,
    Seconds,
    Tools,
    Whole,
    YesNo,
)

KIRO = "Kiro"
SERVER = "Server"
CODER = "Coder"
FILES = "Files"
AGENTAPI = "Accepted for AgentAPI"

AGENT_TYPES = (
    *("claude", "goose", "aider", "codex", "gemini", "copilot", "amp", "auggie", "opencode", "custom"),
    *("cursor", "cursor-agent", "q", "amazonq"),
)

EFFORTS = ("low", "medium", "high", "xhigh", "max")
"""What `--effort` of kiro-cli takes (facts/kiro-cli.md 5.1)."""


def is_agent(env: Mapping[str, str]) -> bool:
    """Return whether this environment is that of a Coder workspace's agent (facts/coder-platform.md 7)."""
    return bool(env.get("CODER_AGENT_TOKEN") and env.get("CODER_AGENT_URL"))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the bridge was told, every value checked. `origins` says of each setting where its value came from."""

    trust_all_tools: bool = declare(
        YesNo(), KIRO,
        "Let Kiro use every tool without asking. Without it Kiro asks over ACP; headless it is refused.", default=False,
    )
    trust_tools: tuple[str, ...] | None = declare(
        Tools(), KIRO, "Tools Kiro may use without asking; an empty list trusts none.",
        shown_default="what the agent allows",
    )
    agent: str | None = declare(
        Line(as_word=True), KIRO, "Kiro's agent (profile) to run prompts with.",
        other_env=("KIRO_AGENT",), shown_default="Kiro's own default",
    )
    model: str | None = declare(
        Line(as_word=True), KIRO, "Model to run prompts with.",
        other_env=("KIRO_DEFAULT_MODEL",), shown_default="Kiro's own default",
    )
    effort: str | None = declare(
        Choice(EFFORTS, optional=True), KIRO,
        "How much the model thinks, where kiro-cli has the flag.", shown_default="Kiro's own default",
    )
    engine: Literal["auto", "v1", "v2", "v3"] = declare(
        Choice(("auto", "v1", "v2", "v3")), KIRO,
        "Kiro's engine. `auto` takes the one that the kiro-cli found uses by itself.", default="auto",
    )
    transport: Literal["auto", "acp", "headless"] = declare(
        Choice(("auto", "acp", "headless")), KIRO,
        "How Kiro is driven. `acp` keeps one kiro-cli running for each conversation, which can ask for approvals; "
        "`headless` runs one for each prompt; `auto` takes ACP where kiro-cli has it.", default="auto",
    )
    approval_timeout: float = declare(
        Seconds(0, 86_400), KIRO,
        "Time after which an approval that nobody answered is a refusal; 0 lets it wait for ever.", default=0.0,
    )
    acp_processes: int = declare(
        Whole(1, 64), KIRO,
        "kiro-cli processes that may be kept running over ACP; the one that was idle longest ends for another.",
        default=8,
    )
    acp_idle: float = declare(
        Seconds(1, 86_400), KIRO,
        "Time after which a kiro-cli that is kept running and not used is ended; the next prompt starts it again.",
        default=900.0,
    )
    workdir: Path = declare(
        Directory(), KIRO, "Directory Kiro works in.",
        derive=lambda values, around: around.cwd.resolve(), shown_default="where the bridge is started",
    )
    sessions_root: Path = declare(
        FilePath(needed=True), KIRO, "Directory in which a session without a folder of its own gets one.",
        derive=lambda values, around: around.home / "kiro-sessions",
        shown_default="kiro-sessions in the home directory",
    )
    allowed_folders: tuple[Path, ...] = declare(
        Folders(), KIRO, "Folders within which a session may be given its folder.",
        derive=lambda values, around: (around.home,), shown_default="the home directory",
    )
    sessions_at_once: int = declare(
        Whole(1, 64), KIRO, "Sessions that may work at the same time; prompts to others wait.", default=8
    )
    kiro_cli_path: Path | None = declare(
        FilePath(), KIRO, "The kiro-cli to run, instead of searching for one.",
        other_env=("KIRO_CLI_PATH",), shown_default="searched for",
    )
    kiro_database: Path | None = declare(
        FilePath(), KIRO, "Kiro's SQLite database (engine v1).", shown_default="where kiro-cli keeps it"
    )
    kiro_v2_sessions: Path | None = declare(
        FilePath(), KIRO, "Directory of the sessions of engine v2.", shown_default="where kiro-cli keeps them"
    )
    kiro_v3_sessions: Path | None = declare(
        FilePath(), KIRO, "Directory of the sessions of engine v3.", shown_default="where kiro-cli keeps them"
    )
    initial_prompt: str = declare(
        Prose(), KIRO,
        "Prompt to send once after the start. Without it a pipe or file on standard input is read, if it ends.",
        short="I", agentapi=True, default="",
    )
    start_timeout: float = declare(
        Seconds(1, 600), KIRO, "Longest time the bridge may say that it is starting.", default=30.0
    )
    stop_grace: float = declare(
        Seconds(0.1, 600), KIRO, "Time kiro-cli has after each signal before the next, harder one.", default=5.0
    )

    host: str = declare(Address(), SERVER, "Address to listen on.", default="127.0.0.1")
    port: int = declare(
        Whole(0, 65535), SERVER, "TCP port to listen on; 0 takes any free one.", short="p", agentapi=True, default=3284
    )
    allowed_hosts: tuple[str, ...] = declare(
        Hosts(), SERVER, "Host names that requests may be addressed to, without ports; `*` allows all.",
        short="a", agentapi=True, default=("localhost", "127.0.0.1", "::1"), shown_default="localhost,127.0.0.1,[::1]",
    )
    allowed_origins: tuple[str, ...] = declare(
        Origins(), SERVER, "Origins whose pages may call the bridge; `*` allows all.",
        short="o", agentapi=True,
        default=("http://localhost:3284", "http://localhost:3000", "http://localhost:3001"),
    )
    chat_base_path: str = declare(
        Line(), SERVER, "Path under which a proxy shows the chat; `./chat` stays relative to wherever the page is.",
        short="c", agentapi=True, default="/chat",
    )
    max_clients: int = declare(
        Whole(1, 2000), SERVER, "Event streams that may be open at the same time.", default=300
    )
    threads: int = declare(
        Whole(2, 200), SERVER, "Threads for all other requests, so that streams never use them up.", default=16
    )
    heartbeat: float = declare(
        Seconds(1, 30), SERVER, "Pause after which a silent event stream gets a comment to keep it open.", default=15.0
    )
    log_level: Literal["debug", "info", "warning", "error"] = declare(
        Choice(("debug", "info", "warning", "error")), SERVER, "Least important messages to log.", default="info"
    )

    app_status_slug: str = declare(
        Line(), CODER, "Slug of the Coder app whose status is reported.",
        other_env=("CODER_MCP_APP_STATUS_SLUG",), default="",
    )
    report_tasks: bool = declare(
        YesNo(), CODER, "Tell Coder what the conversation is doing.",
        derive=lambda values, around: bool(values["app_status_slug"]) and is_agent(around.env),
        shown_default="true in a Coder workspace with app_status_slug",
    )
    coder_path: Path | None = declare(
        FilePath(), CODER, "The coder command, instead of searching for one.", shown_default="searched for in PATH"
    )

    config: Path | None = declare(
        FilePath(), FILES, "YAML file with settings under the names of this list.", in_file=False
    )
    state_dir: Path = declare(
        FilePath(needed=True), FILES, "Directory of what the bridge keeps.",
        derive=lambda values, around: around.state_home / "kiro-bridge",
        shown_default="$XDG_STATE_HOME/kiro-bridge, else ~/.local/state/kiro-bridge",
    )
    ledger: Path = declare(
        FilePath(needed=True), FILES, "The bridge's own database of conversations; one bridge may use it at a time.",
        derive=lambda values, around: values["state_dir"] / "ledger.sqlite3",
        shown_default="ledger.sqlite3 in state_dir",
    )
    state_file: Path | None = declare(
        FilePath(), FILES, "Conversation in AgentAPI's own format, to be read and written.", short="s", agentapi=True
    )
    load_state: bool = declare(
        YesNo(), FILES, "Read the state file at the start.", agentapi=True,
        derive=lambda values, around: values["state_file"] is not None, shown_default="true with a state file",
    )
    save_state: bool = declare(
        YesNo(), FILES, "Write the state file at the end and on SIGUSR1.", agentapi=True,
        derive=lambda values, around: values["state_file"] is not None, shown_default="true with a state file",
    )
    pid_file: Path | None = declare(
        FilePath(), FILES, "File that holds the process id while the bridge runs.", agentapi=True
    )

    print_openapi: bool = declare(
        YesNo(), AGENTAPI, "Print the OpenAPI 3.0.3 document and end.",
        short="P", agentapi=True, default=False, in_file=False,
    )
    type: str = declare(
        Choice(("", *AGENT_TYPES), complaint="invalid agent type"), AGENTAPI,
        "Checked and ignored: the agent is Kiro.", short="t", agentapi=True, default="",
    )
    term_width: int = declare(
        Whole(10, 65535, complaint="term width must be at least 10"), AGENTAPI,
        "Checked and ignored: there is no terminal.", short="W", agentapi=True, default=80,
    )
    term_height: int = declare(
        Whole(10, 65535, complaint="term height must be at least 10"), AGENTAPI,
        "Checked and ignored: there is no terminal.", short="H", agentapi=True, default=1000,
    )
    experimental_acp: bool = declare(
        YesNo(), AGENTAPI, "Checked and ignored: `transport` says how Kiro is driven.", agentapi=True, default=False
    )
    exit: bool = declare(
        YesNo(), AGENTAPI, "End after the settings were read.", agentapi=True, default=False, hidden=True, in_file=False
    )

    origins: Mapping[str, str]

    def with_initial_prompt(self, prompt: str, origin: str) -> Settings:
        """Return these settings with another initial prompt, which came from `origin`."""
        return dataclasses.replace(
            self, initial_prompt=prompt, origins={**self.origins, "initial_prompt": origin}
        )


SETTINGS: tuple[Setting, ...] = tuple(
    dataclasses.replace(declared.metadata["setting"], name=declared.name)
    for declared in dataclasses.fields(Settings)
    if "setting" in declared.metadata
)
