"""How a JSON shape is described: the parts that OpenAPI 3.0.3 schemas are made of.

Invariant: pure; an object is closed, and a property is required unless it is named as optional.
"""

from __future__ import annotations

from typing import Any

JsonObject = dict[str, Any]

REF = "#/components/schemas/"


def ref(name: str, description: str = "") -> JsonObject:
    """Return a reference to a component."""
    return {"$ref": f"{REF}{name}", **({"description": description} if description else {})}


def text(description: str, **more: object) -> JsonObject:
    """Return a string."""
    return {"type": "string", "description": description, **more}


def time(description: str, **more: object) -> JsonObject:
    """Return a moment, as RFC 3339."""
    return text(description, format="date-time", **more)


def whole(description: str, **more: object) -> JsonObject:
    """Return a whole number."""
    return {"type": "integer", "format": "int64", "description": description, **more}


def number(description: str, **more: object) -> JsonObject:
    """Return a number."""
    return {"type": "number", "description": description, **more}


def flag(description: str, **more: object) -> JsonObject:
    """Return true or false."""
    return {"type": "boolean", "description": description, **more}


def listing(of: JsonObject, description: str, **more: object) -> JsonObject:
    """Return a list whose entries are `of`."""
    return {"type": "array", "items": of, "description": description, **more}


def choice(name: str, *values: str, example: str = "") -> JsonObject:
    """Return one of a few words, as a component called `name`."""
    return {"type": "string", "enum": list(values), "title": name, "example": example or values[0]}


def shape(properties: JsonObject, *, optional: tuple[str, ...] = ()) -> JsonObject:
    """Return an object with exactly these properties."""
    required = [name for name in properties if name not in optional]
    closed: JsonObject = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**closed, "required": required} if required else closed


def document(properties: JsonObject, *, optional: tuple[str, ...] = ()) -> JsonObject:
    """Return an object that is a whole body, and so may name its schema."""
    link = text("The address of the JSON Schema of this object.", format="uri", readOnly=True)
    return shape({"$schema": link, **properties}, optional=("$schema", *optional))


def query(name: str, description: str, **bounds: int) -> JsonObject:
    """Return the OpenAPI parameter for a whole number of the query."""
    schema = {"type": "integer", "format": "int64", **bounds}
    return {"name": name, "in": "query", "description": description, "schema": schema}


def query_text(name: str, description: str, *words: str, required: bool = False, **more: object) -> JsonObject:
    """Return the OpenAPI parameter for a text of the query, one of `words` where there are any."""
    schema: JsonObject = {"type": "string", **({"enum": list(words)} if words else {}), **more}
    found: JsonObject = {"name": name, "in": "query", "description": description, "schema": schema}
    return {**found, "required": True} if required else found
