"""Why a run failed, from what Kiro says in each case (facts/kiro-cli.md 5.3, 5.9; facts/kiro-stores.md A.8, A.9)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.kiro.failures import RunFacts, classify, quoted, redacted, warnings_in

TROUBLE = "Kiro is having trouble responding right now:\n   0: "
RPC = "Internal error (code -32603): Encountered an error in the response stream: "


@pytest.mark.parametrize(
    ("code", "facts"),
    [
        ("not_logged_in", {"stderr": f"{TROUBLE}You are not logged in, please log in with kiro-cli login"}),
        ("not_logged_in", {"stderr": f"{TROUBLE}dispatch failure (other): No token"}),
        ("not_logged_in", {"stderr": "Failed to open browser for authentication.\nerror: Failed to open URL"}),
        ("not_logged_in", {"exit_code": 1, "stdout": "Confirm the following code in the browser\nCode: A"}),
        ("login_expired", {"stderr": f"{TROUBLE}ExpiredTokenException: expired"}),
        ("login_expired", {"stderr": f"{TROUBLE}no device registration found for token"}),
        ("login_expired", {"exit_code": 0, "stderr": "Authentication failed. Your API key may be invalid or expired."}),
        ("throttled", {"stderr": f"{TROUBLE}ThrottlingException: Too many requests"}),
        ("throttled", {"run_error": RPC + "TooManyRequestsException: x"}),
        ("throttled", {"stderr": f"{TROUBLE}SlowDownException: x"}),
        ("out_of_credits", {"run_error": RPC + "You've used all of your credits for this month."}),
        ("out_of_credits", {"stderr": f"{TROUBLE}MONTHLY_REQUEST_COUNT"}),
        ("context_overflow", {"stderr": f"{TROUBLE}The context window has overflowed"}),
        ("model_unavailable", {"run_error": RPC + "The model 'X' is not available. Please use '/model' to select"}),
        ("model_unavailable", {"stderr": f"{TROUBLE}The model you've selected is temporarily unavailable"}),
        (
            "model_unavailable",
            {"stdout": "The selected model is not available. Please select", "stderr": "InvalidModelError"},
        ),
        ("tool_refused", {"stderr": "error: Tool approval required but --no-interactive was specified. Use"}),
        ("mcp_startup_failed", {"exit_code": 3, "stderr": "something else"}),
        ("mcp_startup_failed", {"stderr": f"{TROUBLE}Transport to MCP server 'x' is closed"}),
        ("agent_not_found", {"exit_code": 4, "stderr": ""}),
        ("agent_not_found", {"stderr": '[warn] agent "X" not found, using "default"'}),
        ("usage_error", {"exit_code": 2, "stderr": "error: unexpected argument '--x' found"}),
        (
            "usage_error",
            {"stderr": "error: the following arguments are not supported with --agent-engine=v3: --trust-all-tools"},
        ),
        ("usage_error", {"run_error": "--output-format stream-json is not supported on the v1 engine. Pass"}),
        ("response_timeout", {"stderr": f"{TROUBLE}Response timed out - message took too long to generate"}),
        ("resume_lost", {"run_error": "failed to load session abc"}),
        ("killed", {"exit_code": None, "signal": 9}),
        ("killed", {"exit_code": None, "signal": 199}),
        ("run_error", {"run_error": "something new"}),
        ("crashed", {"exit_code": 101, "stderr": "thread 'main' panicked"}),
        ("no_answer", {"exit_code": 0}),
        ("no_answer", {"exit_code": 0, "prompt_seen": True, "end_reason": "Error"}),
        ("no_answer", {"exit_code": None}),
    ],
)
def test_each_failure_is_named_with_a_cause_and_a_remedy(code: str, facts: dict[str, Any]) -> None:
    problem = classify(RunFacts(**{"exit_code": 1, **facts}))
    assert problem is not None and problem.code == code
    assert problem.cause.endswith((".", "'", '"', "!", "?", "…"))
    assert len(problem.remedy) > 10


def test_what_the_model_said_is_not_taken_for_a_failure() -> None:
    told = RunFacts(1, stdout="You are not logged in, says the page. ThrottlingException", answered=True)
    problem = classify(told)
    assert problem is not None and problem.code == "crashed"


def test_success_needs_proof() -> None:
    assert classify(RunFacts(0, succeeded=True, stderr="ThrottlingException, then it went well")) is None
    assert classify(RunFacts(0, answered=True)) is not None


def test_an_answer_in_another_conversation_is_not_the_one_asked_for() -> None:
    problem = classify(RunFacts(0, succeeded=True, asked_id="a", got_id="b"))
    assert problem is not None and problem.code == "resume_lost"
    assert classify(RunFacts(0, succeeded=True, asked_id="a", got_id="a")) is None
    assert classify(RunFacts(0, succeeded=True, asked_id="a", got_id=None)) is None
    assert classify(RunFacts(0, succeeded=True, asked_id=None, got_id="b")) is None


def test_the_cause_quotes_kiro_cleaned_and_bounded() -> None:
    noise = "\x1b[31mINFO x\x1b[0m\n" * 5000
    problem = classify(RunFacts(1, stderr=noise + "\x1b[1mThrottlingException: later\x1b[0m\n"))
    assert problem is not None
    assert "ThrottlingException: later" in problem.cause and "\x1b" not in problem.cause and len(problem.cause) < 700


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("abc.def-ghi", "Authorization: Bearer abc.def-ghi"),
        ("s3cr3t-value", '{"access_token":"s3cr3t-value","x":1}'),
        ("s3cr3t-value", "refresh_token=s3cr3t-value&x=1"),
        ("ksk_0123456789abcdefghij", "bad key ksk_0123456789abcdefghij"),
        ("hunter2", "KIRO_API_KEY=hunter2"),
        ("ABCD-EFGH", "https://device.example/?user_code=ABCD-EFGH"),
        ("eyJhbGciOiJI.eyJzdWIi.sig", "token was eyJhbGciOiJI.eyJzdWIi.sig"),
        ("AKIA0123456789ABCDEF", "AKIA0123456789ABCDEF"),
        ("Q" * 70, "blob " + "Q" * 70),
    ],
)
def test_secrets_are_taken_out(secret: str, text: str) -> None:
    assert secret in text and secret not in redacted(text) and secret not in quoted(text)


def test_ordinary_words_stay() -> None:
    text = "The model 'auto' failed (request_id: 4d7f17e1-9cd3-4bfb-92f5-765f805eb148) in /home/dev/project/src/main.py"
    assert redacted(text) == text


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (
            "tool_refused",
            "[denied] tool permission approval is not supported in non-interactive mode. Use --trust-all-tools",
        ),
        ("agent_not_found", '[warn] agent "X" not found, using "default"'),
        ("agent_not_found", 'agent "X" needs upgrading for this agent engine, using "default"'),
        ("model_not_set", "\x1b[33m[warn] failed to set model 'X': Method not found\x1b[0m"),
        ("effort_not_set", "[warn] failed to set effort 'low': model does not support additional fields"),
        ("mcp_disabled", "Failed to retrieve MCP settings; MCP functionality disabled"),
        (None, "[tool] shell"),
        (None, "2026-08-25 INFO agent started"),
    ],
)
def test_warnings_of_a_run_that_goes_on(key: str | None, line: str) -> None:
    assert [(notice.key, notice.level) for notice in warnings_in(line)] == ([(key, "warning")] if key else [])


@pytest.mark.parametrize(
    ("name", "run", "code"),
    [
        ("denied", 0, "tool_refused"),
        ("logged_out", 1, "not_logged_in"),
        ("no_prompt", 0, "crashed"),
        ("unknown_flag", 0, "usage_error"),
        ("sigkill_in_tool", 0, "killed"),
        ("sigterm_in_tool", 0, "killed"),
    ],
)
def test_recorded_failures_of_v1(recordings: Path, name: str, run: int, code: str) -> None:
    told = json.loads((recordings / "v1" / f"{name}.json").read_text())["runs"][run]
    ended = told["exit"]
    problem = classify(
        RunFacts(
            ended if ended >= 0 else None,
            -ended if ended < 0 else None,
            stdout=told["stdout"],
            stderr=told["stderr"],
            answered=told["stdout"].startswith("\x1b[38;5;10m> "),
        )
    )
    assert problem is not None and problem.code == code
