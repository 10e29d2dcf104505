"""gunicorn's threaded worker, able to give a connection away.

Invariant: a connection is owned by exactly one party: by gunicorn until `Detached` is raised, by the broadcaster
afterwards.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from concurrent.futures import Future
from typing import Any

from gunicorn.http import wsgi
from gunicorn.workers.gthread import TConn, ThreadWorker

_PR_SET_PDEATHSIG = 1


class Detached(Exception):
    """Raised through the WSGI call when the connection belongs to somebody else now."""


class NamelessResponse(wsgi.Response):  # type: ignore[misc]
    """A response that does not name the server's software; gunicorn has no setting for that."""

    def default_headers(self) -> list[str]:
        """Return the headers gunicorn adds, without `Server`."""
        return [header for header in super().default_headers() if not header.startswith("Server:")]


wsgi.Response = NamelessResponse


class BridgeWorker(ThreadWorker):  # type: ignore[misc]
    """Serves requests in threads and forgets connections that were given away."""

    def init_process(self) -> None:
        """Start serving; when the master is killed, this process goes with it at once, and its ledger with it."""
        if sys.platform == "linux":
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        super().init_process()

    def handle_usr1(self, sig: int, frame: object) -> None:
        """Save the AgentAPI state file, off the main thread."""
        save = getattr(self.wsgi, "save_state", None)
        if save is not None:
            self.tpool.submit(save)

    def run(self) -> None:
        """Serve until told to stop, then end streams and turns."""
        try:
            super().run()
        finally:
            self.wsgi.stop()

    def handle_request(self, req: Any, conn: TConn) -> bool:
        """Answer one request; return whether the connection stays with gunicorn."""
        try:
            return bool(super().handle_request(req, conn))
        except Detached:
            conn.detached = True
            return False

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        """Put a connection away after a request, unless it is not ours any more."""
        if getattr(conn, "detached", False):
            self.nr_conns -= 1
            return
        super().finish_request(conn, fs)
