"""Views whose modules are imported when they are first asked for.

Invariant: what a bridge at rest does not need takes none of its memory. Each view stands here by the name it has in its
module; `tests/web/test_kiro.py` holds that they exist.
"""

from __future__ import annotations

import importlib

from flask.typing import ResponseReturnValue

from bridge.web.operation import View

PLACES: dict[str, tuple[str, str]] = {
    "get-kiro": ("kiro_routes", "get_kiro"),
    "run-command": ("kiro_routes", "run_command"),
    "list-mcp-servers": ("kiro_routes", "list_mcp_servers"),
    "change-mcp-server": ("kiro_routes", "change_mcp_server"),
    "get-library": ("kiro_routes", "get_library"),
    "upload-files": ("file_uploads", "upload_files"),
    "list-files": ("file_routes", "list_files"),
    "find-files": ("file_routes", "find_files"),
    "preview-file": ("file_routes", "preview_file"),
    "get-file": ("file_routes", "get_file"),
    "get-diagnostics": ("diagnostic_routes", "get_diagnostics"),
    "subscribe-usage": ("diagnostic_routes", "usage"),
    "export-session": ("export_routes", "export_session"),
}


def late(module: str, name: str) -> View:
    """Return the view `name` of `bridge.web.<module>`, which is imported at the first call."""

    def view(**parameters: str) -> ResponseReturnValue:
        found: View = getattr(importlib.import_module(f"bridge.web.{module}"), name)
        return found(**parameters)

    return view


VIEWS: dict[str, View] = {operation: late(*place) for operation, place in PLACES.items()}
