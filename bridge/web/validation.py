"""Checking what a request brings, against the schemas it is documented with.

Invariant: whatever bytes come, the outcome is a checked object or a `Refusal` with 400, 415 or 422 in the contract's
words (facts/agentapi-contract.md 1.5).
"""

from __future__ import annotations

import json
import math
from typing import Any

from flask import request

from bridge.web import bodies, schemas
from bridge.web.replies import INVALID, Refusal, entry
from bridge.web.wire import JsonObject

_JSON_TYPES = frozenset({"", "application/json", "json"})
_MAX_DEPTH = 200
_MAX_DIGITS = 18
_TYPES: dict[str, type] = {"string": str, "integer": int, "boolean": bool, "array": list}


def json_body(schema: str, *, limit: int, seconds: float) -> JsonObject:
    """Return the request's body as an object of `schema`, its keys spelled as the schema spells them.

    Refuses bodies of `limit` bytes or more, and those that do not arrive within `seconds`.
    """
    with bodies.opened(seconds) as body:
        raw = body.whole(limit)
    if not raw:
        raise Refusal(400, "request body is required")
    return checked(schema, parsed(raw, request.environ.get("CONTENT_TYPE", "")))


def parsed(raw: bytes, content_type: str) -> object:
    """Return the JSON value in `raw`; refuses other content types (415) and what is no JSON (400)."""
    if _media_type(content_type) not in _JSON_TYPES:
        raise _unreadable(415, f"unknown content type: {content_type}", raw)
    try:
        value: object = json.loads(
            raw.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite, parse_int=_number
        )
    except UnicodeDecodeError as error:
        raise _unreadable(400, f"invalid UTF-8 at byte {error.start}", raw) from None
    except json.JSONDecodeError as error:
        raise _unreadable(400, _syntax(error), raw) from None
    except ValueError as error:
        raise _unreadable(400, str(error), raw) from None
    except RecursionError:
        raise _unreadable(400, "exceeded max depth", raw) from None
    if _deeper_than(value, _MAX_DEPTH):
        raise _unreadable(400, "exceeded max depth", raw)
    return value


def checked(schema: str, value: object) -> JsonObject:
    """Return `value` if it is an object of `schema`; else refuse it (422) with all violations in the contract's order.

    Keys match in any case, the last of several wins; a key that the schema calls read-only is tolerated and dropped.
    """
    if not isinstance(value, dict):
        raise Refusal(422, INVALID, [entry("expected object", "body", value)])
    described = schemas.SCHEMAS[schema]
    properties: dict[str, JsonObject] = described["properties"]
    names = {name.lower(): name for name in properties}
    found = {names[key.lower()]: field for key, field in value.items() if key.lower() in names}
    errors: list[JsonObject] = []
    for name, rule in properties.items():
        if rule.get("readOnly"):
            found.pop(name, None)
        elif name in found:
            errors += _errors(f"body.{name}", rule, found[name])
        elif name in described.get("required", ()):
            errors.append(entry(f"expected required property {name} to be present", "body", value))
    extra = [key for key in value if key.lower() not in names]
    errors += [entry("unexpected property", f"body.{key}", value) for key in extra]
    if errors:
        raise Refusal(422, INVALID, errors)
    return found


def query_int(name: str, *, lowest: int, highest: int | None = None) -> int | None:
    """Return a whole number of the query, None when it is not there; refuses others (422)."""
    text = request.args.get(name)
    return None if text is None else whole_number(text, f"query.{name}", lowest=lowest, highest=highest)


def query_word(name: str, *words: str) -> str:
    """Return a text of the query, which must be one of `words`; the first of them when it is not there."""
    text: str = request.args.get(name, words[0])
    if text not in words:
        raise Refusal(422, INVALID, [entry(f"expected one of: {', '.join(words)}", f"query.{name}", text)])
    return text


def query_str(name: str, *, required: bool = False, most: int = 4096) -> str:
    """Return a text of the query, empty when it is not there; refuses one longer than `most` (422)."""
    text: str | None = request.args.get(name)
    if text is None and required:
        raise Refusal(422, INVALID, [entry("required query parameter is missing", f"query.{name}")])
    if text is not None and len(text) > most:
        raise Refusal(422, INVALID, [entry(f"expected length <= {most}", f"query.{name}")])
    return text or ""


def last_event_id() -> int | None:
    """Return where an event stream begins: the header `Last-Event-ID`, else the query, None for now."""
    header = request.headers.get("Last-Event-ID", "")
    if header:
        return whole_number(header, "header.Last-Event-ID", lowest=0)
    return query_int("last_event_id", lowest=0)


def whole_number(text: str, location: str, *, lowest: int, highest: int | None = None) -> int:
    """Return `text` as a whole number within bounds; refuses others (422), naming `location`."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise Refusal(422, INVALID, [entry("expected a whole number", location, text)])
    number = int(text)
    if number < lowest:
        raise Refusal(422, INVALID, [entry(f"expected number >= {lowest}", location, number)])
    if highest is not None and number > highest:
        raise Refusal(422, INVALID, [entry(f"expected number <= {highest}", location, number)])
    return number


def _errors(location: str, rule: JsonObject, value: object) -> list[JsonObject]:
    """Return what is wrong with a value by its schema, in the contract's words."""
    rule = {**schemas.resolved(rule)}
    if value is None and rule.get("nullable"):
        return []
    kind = rule["type"]
    if not isinstance(value, _TYPES[kind]) or (kind == "integer" and isinstance(value, bool)):
        return [entry(f"expected {kind}", location, value)]
    allowed: list[object] = rule.get("enum", [])
    if allowed and value not in allowed:
        return [entry(f"expected one of: {', '.join(map(str, allowed))}", location, value)]
    if isinstance(value, str):
        return _text_errors(location, rule, value)
    if isinstance(value, list):
        return _list_errors(location, rule, value)
    return _bound_errors(location, rule, value) if isinstance(value, int) else []


def _text_errors(location: str, rule: JsonObject, value: str) -> list[JsonObject]:
    if len(value) < rule.get("minLength", 0):
        return [entry(f"expected length >= {rule['minLength']}", location, value)]
    if len(value) > rule.get("maxLength", len(value)):
        return [entry(f"expected length <= {rule['maxLength']}", location)]
    if any("\ud800" <= character <= "\udfff" for character in value):
        return [entry("expected text without lone surrogates", location)]
    return []


def _list_errors(location: str, rule: JsonObject, value: list[object]) -> list[JsonObject]:
    if len(value) > rule.get("maxItems", len(value)):
        return [entry(f"expected array length <= {rule['maxItems']}", location)]
    return [error for place, one in enumerate(value) for error in _errors(f"{location}[{place}]", rule["items"], one)]


def _bound_errors(location: str, rule: JsonObject, value: int) -> list[JsonObject]:
    if value < rule.get("minimum", value):
        return [entry(f"expected number >= {rule['minimum']}", location, value)]
    if value > rule.get("maximum", value):
        return [entry(f"expected number <= {rule['maximum']}", location, value)]
    return []


def _media_type(content_type: str) -> str:
    """Return what AgentAPI looks up: what stands before a `;`, after the first `+`."""
    head = content_type.partition(";")[0]
    _, plus, suffix = head.partition("+")
    return suffix if plus else head


def _unreadable(status: int, message: str, raw: bytes) -> Refusal:
    return Refusal(status, INVALID, [entry(message, "body", raw.decode("utf-8", "replace"))])


def _syntax(error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :]
    if not rest:
        return "unexpected end of JSON input"
    if error.msg == "Extra data":
        return f"invalid character {rest[0]!r} after top-level value"
    return f"{error.msg} at character {error.pos}"


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not allowed in JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is out of range")
    return number


def _number(text: str) -> int | float:
    return int(text) if len(text) <= _MAX_DIGITS else _finite(text)


def _deeper_than(value: object, depth: int) -> bool:
    level: list[Any] = [value]
    for _ in range(depth):
        nested: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                nested += [child for child in node.values() if isinstance(child, (dict, list))]
            elif isinstance(node, list):
                nested += [child for child in node if isinstance(child, (dict, list))]
        if not nested:
            return False
        level = nested
    return True
