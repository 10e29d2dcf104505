"""The application over a service in memory, for a gunicorn started by a test (`gunicorn tests.web.served:make()`)."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask

from .memory import MemoryChat, make_app


def make() -> Flask:
    """Return the application; `WEB_TEST_UPLOADS` names the directory of uploads."""
    return make_app(MemoryChat(), Path(os.environ["WEB_TEST_UPLOADS"]))
