"""JSON values damaged at random: fields dropped, doubled, exchanged, of other types; and their text, damaged too."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**400,
    1e308,
    float("nan"),
    "",
    "\ud800",
    "x\0y",
    [],
    {},
    [[]],
    {"text": {"content": 1}},
    [None, {"Text": 5}],
)
DEEP = 3000


def places_in(value: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    """Yield (container, key) of everything inside a JSON value."""
    if depth > 40:
        return
    items: list[tuple[Any, Any]] = []
    if isinstance(value, (dict, list)):
        items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    for key, inner in items:
        yield value, key
        yield from places_in(inner, depth + 1)


def damaged(value: Any, dice: random.Random, times: int) -> Any:
    """Return a copy in which some values are replaced, dropped, doubled or exchanged."""
    value = copy.deepcopy(value)
    for _ in range(times):
        places = list(places_in(value))
        if not places:
            break
        (holder, key), (other, other_key) = dice.choice(places), dice.choice(places)
        action = dice.randrange(4)
        if action == 0:
            holder[key] = copy.deepcopy(dice.choice(ODD))
        elif action == 1:
            del holder[key]
        elif action == 2:
            holder[key] = copy.deepcopy(other[other_key])
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
    return value


def json_text(value: Any, dice: random.Random) -> bytes:
    """Return JSON text, now and then with deep nesting, a key twice, or bytes cut out."""
    text = json.dumps(value)
    action = dice.randrange(6)
    if action == 0:
        text = text.replace("null", "[" * DEEP + "]" * DEEP, 1)
    elif action == 1:
        text = text.replace("{", '{"data": 7, "data": {}, ', 1)
    data = text.encode()
    if action == 2:
        start = dice.randrange(len(data))
        data = data[:start] + bytes(dice.randrange(256) for _ in range(3)) + data[start + dice.randrange(9) :]
    return data
