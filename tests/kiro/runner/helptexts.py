"""Help texts in the shape of clap's, composed by hand from the table of facts/kiro-stores.md D.1."""

from __future__ import annotations

_VALUES = {
    "--wrap <WRAP>": "Control line wrapping\n\n          Possible values:\n          - always: Always wrap\n"
    "          - never:  Never wrap (raw output)\n          - auto:   Auto-detect",
    "--output-format <OUTPUT_FORMAT>": "Response stream format\n\n          Possible values:\n"
    "          - text:        Human-readable\n          - stream-json: JSON Lines, one event\n            per line\n"
    "          \n          [default: text]",
    "--legacy-ui": "Use the legacy harness\n          \n          [aliases: --classic]",
}
_OLD = (
    *("-r, --resume", "--agent <AGENT>", "--model <MODEL>", "-a, --trust-all-tools", "--trust-tools <TOOL_NAMES>"),
    *("--no-interactive", "-l, --list-sessions", "-w, --wrap <WRAP>", "--require-mcp-startup", "-v, --verbose..."),
)
_MIDDLE = (*_OLD, "--resume-id <SESSION_ID>", "--tui", "--legacy-ui")
_NEW = (*_MIDDLE, "--effort <EFFORT>", "--v3")


def help_text(version: str) -> str:
    """Return what `chat --help` of a version looks like: 1.26.2, 1.27.0, 2.3.0, 2.4.0, 2.8.0, 2.19.2 or 2.28.0."""
    engines = {"2.3.0": "rust, kas", "2.4.0": "v2, v1, kas"}.get(version, "v2, v1, v3")
    flags = {
        "1.26.2": _OLD,
        "1.27.0": (*_OLD, "--tui", "--legacy-ui"),
        "2.3.0": (*_MIDDLE, "--agent-engine <ENGINE>"),
        "2.4.0": (*_MIDDLE, "--agent-engine <ENGINE>"),
        "2.8.0": (*_NEW, "--agent-engine <ENGINE>"),
        "2.19.2": (*_NEW, "--output-format <OUTPUT_FORMAT>", "--agent-engine <ENGINE>"),
        "2.28.0": (*_NEW, "--output-format <OUTPUT_FORMAT>", "--agent-engine <ENGINE>", "--v2"),
    }[version]
    lines = ["AI assistant in your terminal", "", "Usage: kiro-cli-chat chat [OPTIONS] [INPUT]", "", "Options:"]
    for flag in flags:
        text = _VALUES.get(flag.rpartition(", ")[2], "What it does; see also --mentioned-only")
        if flag.startswith("--agent-engine"):
            text = f"Agent engine to use\n          \n          [possible values: {engines}]"
        lines += [("  " if flag[1] != "-" else "      ") + flag, f"          {text}", ""]
    return "\n".join([*lines, "  -h, --help", "          Print help", ""])
