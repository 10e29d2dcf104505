"""Being logged in, as far as a stand-in can be.

Invariant: logged in unless KIRO_STANDIN_LOGGED_OUT is set or the mark file is there; a set KIRO_API_KEY counts when
there is no login (facts/kiro-cli.md 5.7). KIRO_STANDIN_LOGGED_OUT names the behaviour: `1` the release's own,
`error`, `device`, `browser`.
"""

from __future__ import annotations

import os
import sys

from standin import console, faults, places
from standin.failures import BY_NAME
from standin.model import Failure
from standin.personality import Personality

EMAIL = "standin@example.com"
#: What a machine without a browser shows (facts/kiro-stores.md A.8, seen at 2.22.0).
NO_BROWSER = "Failed to open browser for authentication.\nerror: Failed to open URL\n"


def stored() -> bool:
    """Whether there is a login."""
    return not os.environ.get("KIRO_STANDIN_LOGGED_OUT") and not places.logged_out_mark().exists()


def require(personality: Personality) -> None:
    """Nothing when logged in; else the release's way of refusing. Raises faults.RunFailed, or never returns."""
    if stored() or os.environ.get("KIRO_API_KEY"):
        return
    way = os.environ.get("KIRO_STANDIN_LOGGED_OUT", "")
    if way not in ("error", "device", "browser"):
        way = "device" if personality.hangs_when_logged_out else "error"
    if way == "device":
        faults.wait_for_login()
    if way == "browser":
        raise faults.RunFailed(Failure("browser", NO_BROWSER.rstrip(), plain=True))
    # facts/kiro-cli.md 14 no. 20: one `error:` line, no header.
    raise faults.RunFailed(Failure("not-logged-in", f"error: {BY_NAME['not-logged-in'].message}", plain=True))


def whoami(rest: list[str]) -> int:
    """`whoami [-f json]` (facts/kiro-cli.md 10, facts/kiro-stores.md D.2)."""
    as_json = "json" in rest or any(argument.endswith("=json") for argument in rest)
    key = not stored() and bool(os.environ.get("KIRO_API_KEY"))
    if not stored() and not key:
        console.out('{"account":null}\n' if as_json else "Not logged in\n")
        return 1
    if as_json:
        account = {"accountType": "ApiKey"} if key else {"accountType": "BuilderId", "email": EMAIL}
        console.line(account)
    else:
        console.out("Authenticated with API key\n" if key else f"Logged in with Builder ID\nEmail: {EMAIL}\n")
    return 0


def log_in(rest: list[str]) -> int:
    """`login`: removes the mark. Without a terminal only `--use-device-flow` can succeed ([L] from A.8)."""
    if "--use-device-flow" not in rest and not (sys.stdin is not None and sys.stdin.isatty()):
        console.err(NO_BROWSER)
        return 1
    places.logged_out_mark().unlink(missing_ok=True)
    console.out("Logged in successfully (stand-in: there is no account behind it)\n")
    return 0


def log_out() -> int:
    """`logout`: sets the mark."""
    mark = places.logged_out_mark()
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    console.out("You are now logged out\n")
    return 0
