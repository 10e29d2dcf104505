"""One value changed, every other character left as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.kiro.json_edit import Unchangeable, with_member

PATH = ("mcpServers", "a")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '{\n  "mcpServers": {\n    "a": {\n      "command": "x"\n    }\n  }\n}\n',
            '{\n  "mcpServers": {\n    "a": {\n      "command": "x",\n      "disabled": true\n    }\n  }\n}\n',
        ),
        ('{"mcpServers":{"a":{"command":"x"}}}', '{"mcpServers":{"a":{"command":"x", "disabled": true}}}'),
        ('{"mcpServers":{"a":{}}}', '{"mcpServers":{"a":{"disabled": true}}}'),
        (
            '\t{"mcpServers" : { "a" :\t{ "disabled" : false , "x" : [1, {"y": "}"}] } } } \r\n',
            '\t{"mcpServers" : { "a" :\t{ "disabled" : true , "x" : [1, {"y": "}"}] } } } \r\n',
        ),
        (
            '{"z": "\\u00e9 \\"{", "mcpServers": {"b": {"disabled": 5}, "a": {"disabled": null}}}',
            '{"z": "\\u00e9 \\"{", "mcpServers": {"b": {"disabled": 5}, "a": {"disabled": true}}}',
        ),
        ('{"mcpServers":{"\\u0061":{"x":1.50e+2}}}', '{"mcpServers":{"\\u0061":{"x":1.50e+2, "disabled": true}}}'),
        (
            '{"mcpServers":{"a":{"disabled":1,"disabled":{"k":[]}}}}',
            '{"mcpServers":{"a":{"disabled":1,"disabled":true}}}',
        ),
        (
            '{"mcpServers":{},"mcpServers":{"a":{"c":1}}}',
            '{"mcpServers":{},"mcpServers":{"a":{"c":1, "disabled": true}}}',
        ),
    ],
)
def test_nothing_else_changes(before: str, after: str) -> None:
    assert with_member(before, PATH, "disabled", True) == after


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", "null", "[" * 100_000),
        *('{"mcpServers": []}', '{"mcpServers": {"a": 5}}', '{"mcpServers": {"b": {}}}'),
        *('// words\n{"mcpServers": {"a": {}}}', '{"mcpServers": {"a": {},}}', '{"mcpServers": {"a": {}}} x'),
    ],
)
def test_what_cannot_be_changed_is_refused(text: str) -> None:
    with pytest.raises(Unchangeable):
        with_member(text, PATH, "disabled", True)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(
    document=st.dictionaries(st.text(), VALUES, max_size=4),
    servers=st.dictionaries(st.text(), st.dictionaries(st.text(), VALUES, max_size=4), min_size=1, max_size=3),
    flag=st.booleans(),
    indent=st.sampled_from([None, 0, 2, "\t"]),
    plain=st.booleans(),
)
def test_any_document_differs_in_that_value_alone(
    document: dict[str, Any], servers: dict[str, Any], flag: bool, indent: Any, plain: bool
) -> None:
    document["mcpServers"] = servers
    name = next(iter(servers))
    was_empty = not servers[name]
    text = json.dumps(document, indent=indent, ensure_ascii=plain)
    changed = with_member(text, ("mcpServers", name), "disabled", flag)
    servers[name]["disabled"] = flag
    assert json.loads(changed) == document
    assert was_empty or changed == json.dumps(document, indent=indent, ensure_ascii=plain)
