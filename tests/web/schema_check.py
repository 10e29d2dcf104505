"""A small check of JSON against the schemas of `bridge.web.schemas`.

Invariant: it knows every keyword those schemas use for structure and fails on a type it does not know, so that a new
keyword cannot pass unchecked.
"""

from __future__ import annotations

from typing import Any

from bridge.web.schemas import resolved

TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "array": list,
    "object": dict,
    "number": (int, float),
}


def violations(schema: Any, value: object, where: str = "$") -> list[str]:
    """Return what in `value` is not as `schema` says, with its place."""
    schema = resolved(schema)
    if value is None and schema.get("nullable"):
        return []
    kind = schema.get("type")
    if kind is None:
        return []
    if not isinstance(value, TYPES[kind]) or (kind == "integer" and isinstance(value, bool)):
        return [f"{where}: {value!r} is no {kind}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where}: {value!r} is none of {schema['enum']}"]
    if isinstance(value, list):
        return [text for entry in value for text in violations(schema["items"], entry, f"{where}[]")]
    return _object_violations(schema, value, where) if isinstance(value, dict) else []


def _object_violations(schema: Any, value: dict[str, Any], where: str) -> list[str]:
    found = [f"{where}: {name} is missing" for name in schema.get("required", []) if name not in value]
    for name, field in value.items():
        if name in schema.get("properties", {}):
            found += violations(schema["properties"][name], field, f"{where}.{name}")
        elif schema.get("additionalProperties") is False:
            found.append(f"{where}: {name} is not documented")
    return found
