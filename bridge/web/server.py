"""`kiro-bridge serve`: one gunicorn master, one threaded worker that owns the ledger and runs the turns.

Invariant: what can be checked before anything is started is checked there, with an error that says what to do.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from bridge import logs
from bridge.errors import BridgeError, StartError
from bridge.pidfile import PidFile
from bridge.web.worker import BridgeWorker

if TYPE_CHECKING:
    from bridge.settings import Settings
    from bridge.web.assembly import BridgeApplication

log = logging.getLogger(__name__)

GRACEFUL_SECONDS = 20
BACKLOG = 1024


class QuietLogger(Logger):  # type: ignore[misc]
    """gunicorn's messages, in our log: what it reports as information is detail here."""

    def setup(self, cfg: Any) -> None:
        """Send gunicorn's messages where ours go."""
        self.error_log = logging.getLogger("gunicorn")
        self.access_log = logging.getLogger("gunicorn.access")
        self.error_log.setLevel(max(logging.WARNING, logging.getLogger().level))
        self.access_log.setLevel(logging.CRITICAL)

    def reopen_files(self) -> None:
        """There are none."""

    def close_on_exec(self) -> None:
        """There is nothing to close."""


class BridgeArbiter(Arbiter):  # type: ignore[misc]
    """gunicorn's master with AgentAPI's meaning of signals (facts/agentapi-contract.md 4.2)."""

    def handle_hup(self) -> None:
        """Stop gracefully."""
        raise StopIteration

    def handle_int(self) -> None:
        """Stop gracefully."""
        raise StopIteration

    def handle_usr1(self) -> None:
        """Save the state file."""
        for pid in self.WORKERS:
            self.kill_worker(pid, 10)

    def handle_usr2(self) -> None:
        """Nothing: the bridge is never replaced while it runs."""

    handle_ttin = handle_ttou = handle_winch = handle_usr2


class BridgeServer(BaseApplication):  # type: ignore[misc]
    """gunicorn, set up from our settings. `listener` is the descriptor of the bound socket and becomes gunicorn's."""

    def __init__(self, settings: Settings, listener: int) -> None:
        self._settings = settings
        self._listener = listener
        super().__init__()

    def load_config(self) -> None:
        """Set what gunicorn is to do."""
        options: dict[str, Any] = {
            "bind": f"fd://{self._listener}",
            "workers": 1,
            "worker_class": BridgeWorker,
            "threads": self._settings.threads,
            "worker_connections": self._settings.threads + self._settings.max_clients + 1000,
            "timeout": 60,
            "graceful_timeout": GRACEFUL_SECONDS,
            "keepalive": 75,
            "control_socket_disable": True,
            "logger_class": QuietLogger,
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> BridgeApplication:
        """Build the application; runs in the worker, which alone imports it: the master holds nothing of it."""
        from bridge.web.assembly import BridgeApplication

        try:
            return BridgeApplication(self._settings)
        except BridgeError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            raise SystemExit(Arbiter.APP_LOAD_ERROR) from error


def serve(settings: Settings) -> int:
    """Serve until a signal ends it; return the exit code. Raises StartError for what keeps it from starting."""
    logs.set_up(settings.log_level)
    pid_file = PidFile(settings.pid_file) if settings.pid_file is not None else contextlib.nullcontext()
    with pid_file:
        listener = _bind(settings.host, settings.port)
        _announce(settings, listener.getsockname()[1])
        gc.freeze()  # what is there now is never garbage: unlooked at, its pages stay shared
        return _run(BridgeArbiter(BridgeServer(settings, listener.detach())))


def _run(arbiter: BridgeArbiter) -> int:
    master = os.getpid()
    try:
        arbiter.run()
    except SystemExit as stop:
        if os.getpid() != master:
            raise
        return 1 if stop.code in (Arbiter.APP_LOAD_ERROR, Arbiter.WORKER_BOOT_ERROR) else int(stop.code or 0)
    return 0


def _announce(settings: Settings, port: int) -> None:
    log.info("Allowed hosts: %s", ", ".join(settings.allowed_hosts))
    log.info("Allowed origins: %s", ", ".join(settings.allowed_origins))
    log.info("Starting server on port", extra={"fields": {"port": port}})
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    log.info("listening on http://%s:%d", host, port)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise StartError(
            f"failed to start server: listen tcp {host}:{port}: bind: {reason.lower()}.",
            "End what listens there, or choose another port (--port, KIRO_BRIDGE_PORT; 0 takes any free one).",
        ) from error
    listener.set_inheritable(True)
    return listener
