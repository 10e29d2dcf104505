"""The OpenAPI documents, built from `bridge.web.operations` and `bridge.web.schemas`.

Invariant: the 3.1 document says the same as the 3.0 one; they differ only in how an example and "or null" are written
(facts/agentapi-contract.md 1.1).
"""

from __future__ import annotations

import functools
import json
from typing import Any, cast

from bridge.web.operation import Operation
from bridge.web.operations import OPERATIONS, event_list, path_parameters
from bridge.web.schemas import SCHEMAS
from bridge.web.shapes import REF, JsonObject, ref

TITLE = "AgentAPI"
_DESCRIPTION = (
    "HTTP API of the Kiro CLI bridge: AgentAPI's routes for one conversation with the agent, and `/api/v1` with "
    "sessions, turns, items and a resumable stream of events."
)
_SUCCESS = {200: "OK", 201: "Created", 202: "Accepted"}


@functools.lru_cache(maxsize=1)
def openapi_3_0(version: str) -> JsonObject:
    """Return the document in the form of OpenAPI 3.0.3; `version` is the bridge's. Not to be changed by the caller."""
    paths: dict[str, JsonObject] = {}
    for operation in OPERATIONS:
        if not operation.hidden:
            paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.0.3",
        "info": {"title": TITLE, "description": _DESCRIPTION, "version": version},
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }


@functools.lru_cache(maxsize=1)
def openapi_3_1(version: str) -> JsonObject:
    """Return the document in the form of OpenAPI 3.1.0. Not to be changed by the caller."""
    return {**cast(JsonObject, _modern(openapi_3_0(version))), "openapi": "3.1.0"}


def as_json(document: JsonObject, *, indent: int | None = None) -> str:
    """Return a document as JSON with sorted keys; `--print-openapi` prints it with an indent of 2."""
    separators = (",", ":") if indent is None else None
    return json.dumps(document, ensure_ascii=False, indent=indent, sort_keys=True, separators=separators)


def as_yaml(document: JsonObject) -> str:
    """Return a document as YAML with sorted keys."""
    import yaml  # not needed to start

    plain = json.loads(json.dumps(document))  # no anchors for shared parts
    text: str = yaml.safe_dump(plain, allow_unicode=True, sort_keys=True)
    return text


def json_schema(name: str) -> JsonObject | None:
    """Return a component as JSON Schema with references to `/schemas/...`, None when there is none of that name."""
    if name not in SCHEMAS:
        return None
    return cast(JsonObject, _relinked(_modern(SCHEMAS[name])))


def _described(operation: Operation) -> JsonObject:
    found: JsonObject = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": operation.description,
        "responses": {str(operation.status): _success(operation), "default": _failure()},
    }
    parameters = [*path_parameters(operation.path), *operation.parameters]
    if parameters:
        found["parameters"] = parameters
    if operation.takes:
        content = {"application/json": {"schema": ref(operation.takes)}}
        found["requestBody"] = {"content": content, "required": True}
    if operation.form:
        encoding = {name: {"contentType": "application/octet-stream"} for name in operation.form["properties"]}
        found["requestBody"] = {"content": {"multipart/form-data": {"schema": operation.form, "encoding": encoding}}}
    return found


def _success(operation: Operation) -> JsonObject:
    description = _SUCCESS[operation.status]
    if operation.events:
        content = {"text/event-stream": {"schema": event_list(operation.events)}}
    elif operation.sends:
        content = {operation.sends: {"schema": {"type": "string", "format": "binary"}}}
    else:
        content = {"application/json": {"schema": ref(operation.gives)}}
    return {"description": description, "content": content}


def _failure() -> JsonObject:
    return {"description": "Error", "content": {"application/problem+json": {"schema": ref("ErrorModel")}}}


def _modern(node: Any) -> Any:
    """Return a part of a 3.0 document as 3.1 writes it."""
    if isinstance(node, list):
        return [_modern(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    found = {key: _modern(entry) for key, entry in node.items()}
    if "example" in found:
        found["examples"] = [found.pop("example")]
    if found.pop("nullable", False):
        found["type"] = [found["type"], "null"]
    return found


def _relinked(node: Any) -> Any:
    if isinstance(node, list):
        return [_relinked(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    links = {"$ref": f"/schemas/{node['$ref'].removeprefix(REF)}.json"} if "$ref" in node else {}
    return {**{key: _relinked(entry) for key, entry in node.items()}, **links}
