"""What describes one route.

Invariant: an operation's id is the name of its view.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask.typing import ResponseReturnValue

from bridge.web.shapes import JsonObject

View = Callable[..., ResponseReturnValue]


@dataclass(frozen=True)
class Operation:
    """One method of one path, in OpenAPI's terms.

    `takes` and `gives` name components; a stream gives `events` (event name to component) instead, and a download
    `sends`, a media type. `form` is a multipart body's schema. `parameters` are OpenAPI parameter objects besides
    those in the path.
    """

    id: str
    method: str
    path: str
    summary: str
    description: str
    takes: str = ""
    gives: str = ""
    sends: str = ""
    status: int = 200
    events: tuple[tuple[str, str], ...] = ()
    form: JsonObject | None = None
    parameters: tuple[JsonObject, ...] = ()
    hidden: bool = False
