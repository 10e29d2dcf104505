"""The routes of the HTTP surface, an area each.

Invariant: the one list of areas. `bridge.web.operations` and `bridge.web.schemas` are made of it, and so are the URL
map and the documents.
"""

from __future__ import annotations

from typing import Protocol

from bridge.web.areas import agentapi, diagnostics, files, kiro, sessions, turns
from bridge.web.operation import Operation
from bridge.web.shapes import JsonObject


class Area(Protocol):
    """What a module of this package offers: its routes, and the components that only it or others refer to."""

    OPERATIONS: tuple[Operation, ...]
    SCHEMAS: dict[str, JsonObject]


AREAS: tuple[Area, ...] = (agentapi, sessions, turns, kiro, files, diagnostics)
