"""gunicorn's threaded worker, able to give a connection away.

Invariants: a connection is owned by exactly one party: by gunicorn until `Detached` is raised, by the broadcaster
afterwards. A thread is given to a request only once its whole head is here, and half of the threads are kept for
requests whose body is here or that have none (see `bridge.web.bodies`).
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import signal
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from gunicorn.http import wsgi
from gunicorn.workers.gthread import TConn, ThreadWorker

from bridge.web.arrivals import Arrivals, Head

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_M_MMAP_THRESHOLD = -3
_LARGE_BLOCK = 256 * 1024
"""Bytes from which on freed memory goes back to the system; glibc raises this by itself to 32 MB otherwise."""

_PAUSE = 0.05
"""Seconds without new connections after one could not be taken."""


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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arrivals: Arrivals | None = None

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Return as many threads as the setting says, and as many again for bodies that are slow to come."""
        return ThreadPoolExecutor(max_workers=2 * self.cfg.threads)

    def accept(self, listener: Any) -> None:
        """Take a new connection; when there is no descriptor left for it, the oldest that said nothing goes."""
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            log.warning("a connection could not be taken: %s", error.strerror)
            if not self._heads().drop_oldest():
                time.sleep(_PAUSE)

    def enqueue_req(self, conn: TConn) -> None:
        """Give a thread to the next request of a connection as soon as its head is whole."""
        self._heads().expect(conn)

    def murder_pending(self) -> None:
        """End connections whose request does not come: those that are late, and all when the worker stops."""
        super().murder_pending()
        self._heads().drop_late(everything=not self.alive)

    def _heads(self) -> Arrivals:
        if self._arrivals is None:
            self._arrivals = Arrivals(self.poller, self._arrived, self._gone)
        return self._arrivals

    def _arrived(self, conn: TConn, head: Head) -> None:
        conn.init()
        conn.parser.unreader.unread(bytes(head.data))
        conn.data_ready = True
        super().enqueue_req(conn)

    def _gone(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()

    def init_process(self) -> None:
        """Start serving; when the master is killed, this process goes with it at once, and its ledger with it."""
        if sys.platform == "linux":
            libc = ctypes.CDLL(None, use_errno=True)
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != self.ppid:  # killed before it was asked for: no signal will come (prctl(2))
                os._exit(1)
            if hasattr(libc, "mallopt"):
                libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)
        super().init_process()

    def handle_usr1(self, sig: int, frame: object) -> None:
        """Have the AgentAPI state file saved. The main loop does it: what a handler locks may be locked already."""
        self.method_queue.defer(self._save_state)

    def handle_quit(self, sig: int, frame: object) -> None:
        """Stop as on SIGTERM: Ctrl-C in a terminal reaches this process as well as the master."""
        self.handle_exit(sig, frame)

    def _save_state(self) -> None:
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
