"""gunicorn's worker, as far as it can be seen without a server."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HANG = 60.0
BEGIN = """
import sys
from gunicorn.config import Config
from gunicorn.glogging import Logger
from bridge.web.worker import BridgeWorker

class Worker(BridgeWorker):
    def load_wsgi(self):
        print("serves")
        raise SystemExit(0)

Worker(1, int(sys.argv[1]), [], None, 30, Config(), Logger(Config())).init_process()
"""


def begun(master: int) -> tuple[int, str]:
    """Return exit code and output of a worker whose master was the process `master` when it was made."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN, str(master)], capture_output=True, text=True, timeout=HANG, check=False
    )
    return done.returncode, done.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_worker_whose_master_was_killed_at_once_does_not_live_on() -> None:
    """It would hold the ledger while the next bridge starts; a living master's worker serves."""
    assert begun(os.getpid()) == (0, "serves")
    assert begun(1) == (1, "")
