"""The log: one line per event on standard output, in the form AgentAPI's is in (facts/agentapi-contract.md 4.4)."""

from __future__ import annotations

import logging
import sys
from datetime import datetime


class LineFormatter(logging.Formatter):
    """`time=… level=INFO msg="…"`, with what follows an exception on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one record as text."""
        time = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        message = record.getMessage().replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        line = f'time={time} level={record.levelname} msg="{message}"'
        for name, value in getattr(record, "fields", {}).items():
            line += f" {name}={value}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up(level: str) -> None:
    """Send everything at `level` (a name such as `info`) and above to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
