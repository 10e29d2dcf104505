"""JSON of unknown shape, read without trust.

Invariant: nothing here raises for what is in the data. A value of another type than asked for is None or empty, and
every text that leaves is one that UTF-8 can hold.
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timedelta, timezone
from typing import Any

from bridge.errors import BridgeError

JsonDict = dict[str, Any]

_DEEPEST = 64
_LARGEST_INT = 2**63
_LATEST = 253_402_300_800.0
_STAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,12}))?(?:([Zz])|([+-])(\d\d):?(\d\d))?", re.ASCII
)


class NotJson(BridgeError):
    """The data is not JSON, or nested deeper than can be read."""

    code = "not_json"


def parsed(data: bytes | str) -> Any:
    """Return the value that `data` holds as JSON; wrong UTF-8 in it becomes the replacement character.

    Raises NotJson.
    """
    if isinstance(data, bytes):
        data = data.decode("utf-8", "replace")
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        raise NotJson(str(error)) from None
    except RecursionError:
        raise NotJson("It is nested too deeply.") from None
    except ValueError:
        pass
    try:
        return json.loads(data, parse_int=_int_of_any_length)
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from None


def _int_of_any_length(digits: str) -> int | float:
    """Return a number that Python refuses to read as an int because it has thousands of digits."""
    return int(digits) if len(digits) < 1000 else float(digits)


def clean(text: str) -> str:
    """Return `text` with lone surrogates, which UTF-8 cannot hold, replaced."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def text(value: object) -> str | None:
    """Return `value` if it is a string, cleaned; else None."""
    return clean(value) if isinstance(value, str) else None


def name(value: object) -> str | None:
    """Return `value` if it is a string that is not empty, cleaned; else None."""
    return text(value) or None


def table(value: object) -> JsonDict:
    """Return `value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[Any]:
    """Return `value` if it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def number(value: object) -> float | None:
    """Return `value` as a finite float if it is a number, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def whole(value: object) -> int | None:
    """Return `value` as an int if it is a number that 63 bits hold, else None."""
    found = number(value)
    return int(found) if found is not None and abs(found) < _LARGEST_INT else None


def total(values: list[float]) -> float | None:
    """Return the sum of `values`; None of none, and when it is beyond what a float holds."""
    return number(sum(values)) if values else None


def moment(value: object) -> float | None:
    """Return `value`, seconds since the epoch, if it can be a point in time, else None."""
    found = number(value)
    return found if found is not None and 0.0 <= found < _LATEST else None


def stamp(value: object) -> float | None:
    """Return an RFC 3339 text as seconds since the epoch, else None.

    Kiro writes nanoseconds and a local offset (facts/kiro-stores.md C), which `fromisoformat` of Python 3.10 refuses.
    A text without an offset is taken as UTC.
    """
    found = _STAMP.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    micros = int((found[7] or "0")[:6].ljust(6, "0"))
    offset = timedelta(hours=int(found[10] or 0), minutes=int(found[11] or 0))
    try:
        when = datetime(year, month, day, hour, minute, min(second, 59), micros, timezone.utc)
        return moment((when + offset if found[9] == "-" else when - offset).timestamp())
    except (ValueError, OverflowError):
        return None


def tidy(value: object, depth: int = 0) -> Any:
    """Return a copy of a JSON value that any JSON writer takes.

    Texts are cleaned; numbers that are not finite become None, those beyond 63 bits their digits; what lies deeper than
    64 levels is left out.
    """
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < _LARGEST_INT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth >= _DEEPEST:
        return None
    if isinstance(value, list):
        return [tidy(one, depth + 1) for one in value]
    if isinstance(value, dict):
        return {clean(str(key)): tidy(one, depth + 1) for key, one in value.items()}
    return None


def compact(value: object) -> str:
    """Return a JSON value as JSON text without spaces."""
    return json.dumps(tidy(value), ensure_ascii=False, separators=(",", ":"))


def prose(value: object, depth: int = 0) -> str:
    """Return the text of a message content: a string, a block, or an array of them (facts/kiro-stores.md B.4)."""
    if isinstance(value, str):
        return clean(value)
    if depth >= 8:
        return ""
    if isinstance(value, list):
        return "".join(prose(one, depth + 1) for one in value)
    if isinstance(value, dict):
        for field in ("text", "content", "data", "message"):
            if field in value:
                return prose(value[field], depth + 1)
    return ""
