"""Three versions of a JSON document become one: what was written last time, what stands there now, what is wanted.

Invariant: pure. What the user changed since last time stays; what the user left alone becomes what is wanted. Where
it is not known what was written last time, both are kept and the wanted value wins where they disagree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final


class _Absent:
    """The value of a key that is not there."""


ABSENT: Final = _Absent()


def merge(before: Any, now: Any, wanted: Any) -> Any:
    """Return the merged value; `ABSENT` stands for no value, `before` is `ABSENT` when it is not known."""
    if _same(now, wanted) or _same(before, wanted):
        return now
    if before is not ABSENT and _same(before, now):
        return wanted
    if isinstance(now, Mapping) and isinstance(wanted, Mapping):
        base = before if isinstance(before, Mapping) else None
        return _merge_objects(base, now, wanted)
    if isinstance(now, list) and isinstance(wanted, list):
        return _merge_lists(before if isinstance(before, list) else [], now, wanted)
    if before is ABSENT:
        return now if wanted is ABSENT else wanted
    return now


def _merge_objects(before: Mapping[str, Any] | None, now: Mapping[str, Any], wanted: Mapping[str, Any]) -> Any:
    merged = {}
    for key in [*now, *(key for key in wanted if key not in now)]:
        base = ABSENT if before is None else before.get(key, ABSENT)
        value = merge(base, now.get(key, ABSENT), wanted.get(key, ABSENT))
        if value is not ABSENT:
            merged[key] = value
    return merged


def _merge_lists(before: list[Any], now: list[Any], wanted: list[Any]) -> list[Any]:
    """Return the user's list without what is not wanted any more, and with what is newly wanted."""
    gone = [entry for entry in before if not _among(entry, wanted)]
    kept = [entry for entry in now if not _among(entry, gone)]
    return kept + [entry for entry in wanted if not _among(entry, before) and not _among(entry, kept)]


def _among(value: Any, values: list[Any]) -> bool:
    return any(_same(value, other) for other in values)


def _same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal; unlike Python's, `true` is not 1 here."""
    if one is ABSENT or other is ABSENT:
        return one is other
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
