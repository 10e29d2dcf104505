"""Every JSON shape that the HTTP surface takes or gives, as OpenAPI 3.0.3 schemas.

Invariant: this table is what requests are checked against and what the documents show; no two areas name the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.web.areas import AREAS
from bridge.web.shapes import REF, JsonObject

SCHEMAS: dict[str, JsonObject] = {name: schema for area in AREAS for name, schema in area.SCHEMAS.items()}


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the component a schema refers to, or the schema itself."""
    name = schema.get("$ref", "").removeprefix(REF)
    return SCHEMAS[name] if name else schema
