"""Requests made from the OpenAPI document, good and bad, against a running bridge.

Whatever is sent, the answer comes, has the documented shape, and is problem+json where the request was wrong. Streams
have no end, so of those only the head is read, and the connection is closed.
"""

from __future__ import annotations

from typing import Any

import pytest
import requests
from hypothesis import assume
from hypothesis import strategies as st

from bridge.web.openapi import openapi_3_0
from bridge.web.operation import Operation
from bridge.web.operations import OPERATIONS
from tests.fuzz.conftest import Fuzz
from tests.whole.conftest import WAIT, Bridge

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis needs Python 3.11 or newer")
checks = pytest.importorskip("schemathesis.specs.openapi.checks")

PROBLEM = "application/problem+json"
LONGEST_TARGET = 4000
"""A longer request line is refused by gunicorn before the bridge sees it; `test_raw_http.py` sends such."""

AGENTAPI_500 = ("urn:kiro-bridge:agent-busy", "urn:kiro-bridge:empty-prompt")
"""What AgentAPI answers with 500 though the client could know better (facts/agentapi-contract.md 1.5)."""



def kinds(streams: bool) -> list[Any]:
    """Return (operation, mode) of the documented operations; without parameters or body none can be wrong."""
    found = [entry for entry in OPERATIONS if bool(entry.events) == streams and not entry.hidden]
    asked = [(entry, "positive") for entry in found]
    asked += [(e, "negative") for e in found if e.takes or e.form or e.parameters]
    return [pytest.param(entry, mode, id=f"{entry.id}-{mode}") for entry, mode in asked]


def requests_of(operation: Operation, mode: str, bridge: Bridge) -> st.SearchStrategy[Any]:
    """Return a strategy of requests to an operation, most of them to the session that is there."""
    schema = schemathesis.openapi.from_dict(openapi_3_0("0.0.0"))
    described = schema[operation.path][operation.method]
    mode = schemathesis.GenerationMode(mode)
    found: st.SearchStrategy[Any] = described.as_strategy(generation_mode=mode)
    if "{session_id}" in operation.path:
        known: st.SearchStrategy[Any] = described.as_strategy(
            generation_mode=mode, path_parameters={"session_id": bridge.session()}
        )
        found = known | known | found
    return found


def sent(case: Any, url: str) -> dict[str, Any]:
    """Return the case as `requests` takes it; the case is given up when its address is too long for any server."""
    found: dict[str, Any] = case.as_transport_kwargs(base_url=url)
    prepared = requests.Request(found["method"], found["url"], params=found.get("params")).prepare()
    assume(len(prepared.path_url) < LONGEST_TARGET)
    return found


def is_refused_well(reply: requests.Response) -> None:
    """Check that a refusal says what is wrong, and that the fault is the client's."""
    assert reply.headers["Content-Type"] == PROBLEM, reply.text
    problem = reply.json()
    assert problem["status"] == reply.status_code and problem["title"]
    assert problem.get("detail") or problem.get("errors"), problem
    assert reply.status_code < 500 or (reply.request.path_url, problem["type"]) in [
        ("/message", kind) for kind in AGENTAPI_500
    ], reply.text


@pytest.mark.parametrize(("operation", "mode"), kinds(streams=False))
def test_every_request_is_answered_as_documented(
    fuzz: Fuzz, served: Bridge, operation: Operation, mode: str
) -> None:
    conforming = [checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance]
    if operation.takes and mode == "negative":
        conforming.append(checks.negative_data_rejection)

    def check(case: Any) -> None:
        reply = requests.request(**sent(case, served.url), timeout=WAIT)
        case.validate_response(reply, checks=conforming)
        if reply.status_code != operation.status:
            is_refused_well(reply)

    fuzz(requests_of(operation, mode, served), check, examples=25)


@pytest.mark.parametrize(("operation", "mode"), kinds(streams=True))
def test_every_stream_begins_or_is_refused(fuzz: Fuzz, served: Bridge, operation: Operation, mode: str) -> None:
    def check(case: Any) -> None:
        with requests.request(**sent(case, served.url), timeout=WAIT, stream=True) as reply:
            if reply.status_code == 200:
                assert reply.headers["Content-Type"] == "text/event-stream"
            else:
                is_refused_well(reply)

    fuzz(requests_of(operation, mode, served), check, examples=15)
