"""What is checked around Kiro: Coder, the disk, the memory, and a bridge that runs.

Invariant: Coder is asked without a token, so that nothing can be given away.
"""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bridge.coder import AGENT_URL
from bridge.diagnostics import machine
from bridge.diagnostics.check import Check, State
from bridge.diagnostics.meter import Sample

if TYPE_CHECKING:
    from bridge.settings import Settings

_SECONDS = 5.0
_MIB = 1024 * 1024


def surroundings(settings: Settings, environ: Mapping[str, str], sample: Sample | None) -> Iterator[Check]:
    """Yield the checks; `sample` is what the running bridge uses, None where none runs."""
    yield check_coder(environ)
    for name, path in (("disk of state", settings.state_dir), ("disk of workdir", settings.workdir)):
        yield _check_room(name, machine.disk(path), 1024 * _MIB, 100 * _MIB, "Make room on it.", str(path))
        if path.exists() and not os.access(path, os.W_OK | os.X_OK):
            yield Check(name, "failed", f"{path} cannot be written.", "Give the user of the bridge the right to.")
    remedy = "End other programs, or give the workspace more memory."
    yield _check_room("memory", machine.memory(), 256 * _MIB, 64 * _MIB, remedy, "")
    if sample is None:
        yield Check("bridge", "ok", f"none runs that uses {settings.ledger}")
    else:
        for name, used in (("bridge", sample.bridge), ("kiro", sample.kiro)):
            found = f"{used.processes} processes, {used.rss_bytes // _MIB} MiB, {used.cpu_percent:g} % of a processor"
            yield Check(f"usage of {name}", "ok", found)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


def check_coder(environ: Mapping[str, str], seconds: float = _SECONDS) -> Check:
    """Return whether Coder answers, where this is a Coder workspace. Any answer counts."""
    url = environ.get(AGENT_URL, "")
    if not url:
        return Check("coder", "ok", "this is no Coder workspace")
    remedy = f"Check that the workspace reaches the address in {AGENT_URL}."
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        return Check("coder", "failed", f"{AGENT_URL} is no address of a server.", remedy)
    shown = f"{urlsplit(url).scheme}://{urlsplit(url).netloc.rpartition('@')[2]}"
    try:
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(f"{url.rstrip('/')}/api/v2/buildinfo", timeout=seconds):
            return Check("coder", "ok", f"{shown} answers")
    except urllib.error.HTTPError as error:
        with error:
            state: State = "ok" if error.code < 500 else "warning"
            return Check("coder", state, f"{shown} answers with {error.code}", "" if state == "ok" else remedy)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return Check("coder", "warning", f"{shown} does not answer: {str(reason) or type(reason).__name__}.", remedy)


def _check_room(name: str, room: machine.Room | None, few: int, too_few: int, remedy: str, where: str) -> Check:
    if room is None:
        return Check(name, "unknown", "it is not told how much there is")
    left, total = room.available_bytes // _MIB, room.total_bytes // _MIB
    found = f"{left} of {total} MiB are left{f' for {where}' if where else ''}"
    if room.available_bytes < too_few:
        return Check(name, "failed", found, remedy)
    return Check(name, "warning", found, remedy) if room.available_bytes < few else Check(name, "ok", found)
