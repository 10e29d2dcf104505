"""`make run`: start the bridge from this checkout, with the stand-in when there is no kiro-cli.

Nothing the stand-in writes gets near a real Kiro's files: it has a home of its own in `.demo`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, os.fspath(ROOT))

from bridge.cli import build_parser, split  # noqa: E402
from bridge.errors import BridgeError, Problem  # noqa: E402
from bridge.kiro.finder import find_binary  # noqa: E402
from bridge.settings import Settings, load  # noqa: E402

STANDIN = ROOT / "standin" / "kiro-cli"
DEMO_HOME = ROOT / ".demo" / "home"
CURL = """\
curl -s {url}/status
curl -s {url}/message -H 'Content-Type: application/json' -d '{{"type": "user", "content": "What is in this folder?"}}'
curl -sN --max-time 10 {url}/events
curl -s {url}/messages
"""
"""The lines to try the bridge with; the README has them too."""


def main(words: list[str]) -> int:
    """Say what is started and how to reach it, then become the bridge. `words` are flags for `kiro-bridge serve`."""
    try:
        known, _ = split(build_parser(), ["serve", *words])
        known.pop("command")
        settings = load(known, os.environ, Path.cwd())
    except BridgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    env, notice = choose(settings)
    print(notice)
    if settings.port:
        url = f"http://127.0.0.1:{settings.port}"
        print(f"\nOnce it says that it is listening, open {url}/ or try:\n\n{CURL.format(url=url)}")
    else:
        print("\nIts address is in the line that says where it is listening.\n")
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", "bridge", "serve", *words], env)


def choose(settings: Settings) -> tuple[dict[str, str], str]:
    """Return the environment to run the bridge in, and the sentences that say which kiro-cli it will use."""
    env = {**os.environ, "PYTHONPATH": os.fspath(ROOT)}
    found = find_binary(str(settings.kiro_cli_path) if settings.kiro_cli_path else None, os.environ)
    if not isinstance(found, Problem):
        return env, f"Using kiro-cli at {found}."
    if settings.kiro_cli_path:
        return env, f"{found.as_text()}\nStarting all the same; a prompt will say what to do."
    DEMO_HOME.mkdir(parents=True, exist_ok=True)
    env = {name: value for name, value in env.items() if not name.startswith(("XDG_", "KIRO_HOME", "KIRO_TEST_"))}
    env |= {
        "HOME": os.fspath(DEMO_HOME),
        "KIRO_CLI_PATH": os.fspath(STANDIN),
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]),
    }
    env.setdefault("KIRO_BRIDGE_TRUST_ALL_TOOLS", "true")
    return env, (
        "No kiro-cli was found: using the STAND-IN, which only plays Kiro; no model answers.\n"
        "Its tools are trusted here: it looks around in this folder.\n"
        f"Its conversations are in {DEMO_HOME}. To use the real one, install it or set KIRO_CLI_PATH."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
