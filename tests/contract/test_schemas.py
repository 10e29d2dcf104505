"""Section 1.1 (the four OpenAPI documents), 1.9 (/schemas), H1."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from .servers import Server

#: The document AgentAPI publishes, where it is at hand; read at import, before a run cleans its environment.
PUBLISHED = os.environ.get("KIRO_AGENTAPI_OPENAPI")
STRING, INTEGER, BOOLEAN, ARRAY, REFERENCE = "string", "integer", "boolean", "array", "$ref"
#: Component -> property -> type, and which of them are required (contract 1.4, 1.5, 1.6, 2.2, 2.5).
OBJECTS: dict[str, tuple[dict[str, str], set[str]]] = {
    "ErrorBody": ({"level": REFERENCE, "message": STRING, "time": STRING}, {"level", "message", "time"}),
    "ErrorDetail": ({"location": STRING, "message": STRING}, set()),
    "ErrorModel": ({"title": STRING, "status": INTEGER, "detail": STRING, "errors": ARRAY, "type": STRING}, set()),
    "Message": (
        {"id": INTEGER, "content": STRING, "role": REFERENCE, "time": STRING},
        {"id", "content", "role", "time"},
    ),
    "MessageRequestBody": ({"content": STRING, "type": REFERENCE}, {"content", "type"}),
    "MessageResponseBody": ({"ok": BOOLEAN}, {"ok"}),
    "MessageUpdateBody": (
        {"id": INTEGER, "message": STRING, "role": REFERENCE, "time": STRING},
        {"id", "message", "role", "time"},
    ),
    "MessagesResponseBody": ({"messages": ARRAY}, {"messages"}),
    "ScreenUpdateBody": ({"screen": STRING}, {"screen"}),
    "StatusChangeBody": ({"agent_type": STRING, "status": REFERENCE}, {"agent_type", "status"}),
    "StatusResponseBody": (
        {"agent_type": STRING, "status": REFERENCE, "transport": REFERENCE},
        {"agent_type", "status", "transport"},
    ),
    "UploadResponseBody": ({"filePath": STRING, "ok": BOOLEAN}, {"filePath", "ok"}),
}
ENUMS = {
    "AgentStatus": {"running", "stable"},
    "ConversationRole": {"agent", "user"},
    "ErrorLevel": {"error", "warning"},
    "MessageType": {"raw", "user"},
    "Transport": {"acp", "pty"},
}
#: Path -> method, operationId, content type of its 200.
OPERATIONS = {
    "/status": ("get", "get-status", "application/json"),
    "/messages": ("get", "get-messages", "application/json"),
    "/message": ("post", "post-message", "application/json"),
    "/upload": ("post", "post-upload", "application/json"),
    "/events": ("get", "subscribeEvents", "text/event-stream"),
}
DOCUMENTS = {
    "/openapi.json": "3.1.0",
    "/openapi.yaml": "3.1.0",
    "/openapi-3.0.json": "3.0.3",
    "/openapi-3.0.yaml": "3.0.3",
}


def document(server: Server, path: str) -> Any:
    """One of the four documents, parsed."""
    body = server.get(path).body
    return json.loads(body) if path.endswith("json") else yaml.safe_load(body)


def type_of(schema: dict[str, Any]) -> str:
    """The type of a property, null left aside; references as `$ref`, also inside allOf."""
    if "$ref" in schema or "$ref" in (schema.get("allOf") or [{}])[0]:
        return REFERENCE
    found = schema.get("type")
    kinds = [kind for kind in found if kind != "null"] if isinstance(found, list) else [found]
    return str(kinds[0])


@pytest.mark.parametrize(("path", "version"), DOCUMENTS.items(), ids=[f"1.1-{path}" for path in DOCUMENTS])
def test_1_1_documents(server: Server, path: str, version: str) -> None:
    """Each document has its version, the operations and the components of the contract."""
    found = document(server, path)
    assert found["openapi"] == version
    for route, (method, operation, content) in OPERATIONS.items():
        entry = found["paths"][route][method]
        assert entry["operationId"] == operation
        assert content in entry["responses"]["200"]["content"]
        assert "application/problem+json" in entry["responses"]["default"]["content"]
    assert "/internal/screen" not in found["paths"]
    schemas = found["components"]["schemas"]
    assert {*OBJECTS, *ENUMS} <= set(schemas)
    for name, values in ENUMS.items():
        assert (schemas[name]["type"], set(schemas[name]["enum"])) == ("string", values), name
    for name, (properties, required) in OBJECTS.items():
        assert schemas[name]["type"] == "object"
        assert set(schemas[name].get("required", [])) == required, name
        assert {key: type_of(schemas[name]["properties"][key]) for key in properties} == properties, name


def test_1_1_yaml_equals_json(server: Server) -> None:
    """YAML and JSON are the same document."""
    for stem in ("/openapi", "/openapi-3.0"):
        assert document(server, f"{stem}.json") == document(server, f"{stem}.yaml")


def as_3_0(node: Any) -> Any:
    """A 3.1 document in the words of 3.0 (contract 1.1: example, nullable, the version; nothing else differs)."""
    if isinstance(node, list):
        return [as_3_0(item) for item in node]
    if not isinstance(node, dict):
        return node
    turned = {key: as_3_0(value) for key, value in node.items()}
    if isinstance(turned.get("examples"), list):
        turned["example"] = turned.pop("examples")[0]
    if isinstance(turned.get("type"), list) and "null" in turned["type"]:
        turned["nullable"] = True
        turned["type"] = next(kind for kind in turned["type"] if kind != "null")
    return turned


def test_1_1_versions_differ_only_in_words(server: Server) -> None:
    """The 3.0 document is the 3.1 document in the older words."""
    new, old = as_3_0(document(server, "/openapi.json")), document(server, "/openapi-3.0.json")
    assert {**new, "openapi": old["openapi"]} == old


def references(node: Any) -> list[str]:
    """Every `$ref` in a parsed document."""
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    return [found for item in node for found in references(item)] if isinstance(node, list) else []


def test_1_1_references_resolve(server: Server) -> None:
    """No reference in the document points at nothing."""
    found = document(server, "/openapi.json")
    names = {f"#/components/schemas/{name}" for name in found["components"]["schemas"]}
    used = set(references(found))
    assert used
    assert used <= names


@pytest.mark.parametrize("name", [*OBJECTS, *ENUMS], ids=[f"1.9-{name}" for name in (*OBJECTS, *ENUMS)])
def test_1_9_schema(server: Server, name: str) -> None:
    """/schemas/{name}, with and without .json, is the component with its references as paths."""
    plain, suffixed = server.get(f"/schemas/{name}"), server.get(f"/schemas/{name}.json")
    assert plain.body == suffixed.body
    schema = plain.json()
    assert all(found.startswith("/schemas/") and found.endswith(".json") for found in references(schema))
    if name in ENUMS:
        assert set(schema["enum"]) == ENUMS[name]
    else:
        assert set(OBJECTS[name][0]) <= set(schema["properties"])
    for found in references(schema):
        assert server.get(found).json() is not None


def test_1_9_unknown_schema(server: Server) -> None:
    """A name that is no component is 200 `null`."""
    reply = server.get("/schemas/Nothing.json")
    assert (reply.status, reply.json()) == (200, None)


def test_h1_published_document(server: Server) -> None:
    """All that is published by AgentAPI is in this document with the same meaning; extensions are allowed."""
    if not PUBLISHED:
        pytest.skip("KIRO_AGENTAPI_OPENAPI names no published document")
    theirs = json.loads(Path(PUBLISHED).read_text())
    ours = document(server, "/openapi-3.0.json")
    for path, operations in theirs["paths"].items():
        for method, operation in operations.items():
            mine = ours["paths"][path][method]
            assert mine["operationId"] == operation["operationId"]
            assert set(operation["responses"]) <= set(mine["responses"])
            assert set(operation["responses"]["200"]["content"]) <= set(mine["responses"]["200"]["content"])
    for name, schema in theirs["components"]["schemas"].items():
        mine = ours["components"]["schemas"][name]
        assert mine["type"] == schema["type"]
        assert set(mine.get("required", [])) == set(schema.get("required", [])), name
        assert set(mine.get("enum", [])) == set(schema.get("enum", [])), name
        for key, value in schema.get("properties", {}).items():
            found = mine["properties"][key]
            assert (type_of(found), found.get("format")) == (type_of(value), value.get("format")), (name, key)
