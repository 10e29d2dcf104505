"""Errors that end a run, by the fault that causes them.

Invariant: the one place for error texts (facts/kiro-cli.md 5.9 unless said otherwise; texts that no source shows are
[L]).
"""

from __future__ import annotations

from standin.model import Failure

HEADER = "Kiro is having trouble responding right now:"
NO_INPUT = "error: Input must be supplied when running in non-interactive mode\n"  # facts/kiro-cli.md 14 no. 12
APPROVAL = (  # facts/kiro-cli.md 14 no. 6
    "error: Tool approval required but --no-interactive was specified. "
    "Use --trust-all-tools to automatically approve tools.\n"
)
DENIED = (  # facts/kiro-stores.md A.9 row 3
    "[denied] tool permission approval is not supported in non-interactive mode. "
    "Use --trust-all-tools to auto-approve.\n"
)
V1_STREAM = (
    "--output-format stream-json is not supported on the v1 engine. Pass --agent-engine v2 (or v3)."  # A.8 there
)

_RPC = "Internal error (code -32603): Encountered an error in the response stream: "  # shape: facts/kiro-stores.md A.8
_NOT_AVAILABLE = (
    "The model 'X' is not available. Please use '/model' to select a different model and try again. "
    "(request_id: 00000000-0000-4000-8000-0000000000aa)"
)

_FAILURES = [
    Failure("not-logged-in", "You are not logged in, please log in with kiro-cli login"),
    Failure("expired-token", "ExpiredTokenException: The bearer token included in the request has expired"),
    Failure("no-device-registration", "no device registration found for token"),
    Failure("no-token", "dispatch failure (other): No token"),
    Failure("throttled", "ThrottlingException: Too many requests, please wait before trying again"),
    Failure("too-many-requests", "TooManyRequestsException: Too many requests"),
    Failure("slow-down", "SlowDownException: Please slow down"),
    # No source shows the text of used-up credits or of a full context (facts/kiro-stores.md F): both [L].
    Failure(
        "out-of-credits",
        "You've used all of your credits for this month. Upgrade your plan or wait until the limit resets",
    ),
    Failure("context-overflow", "The context window has overflowed: the conversation is too long for the model"),
    Failure("response-timeout", "Response timed out - message took too long to generate"),
    Failure(
        "model-unavailable",
        "The model you've selected is temporarily unavailable",
        stream_message=_RPC + _NOT_AVAILABLE,
    ),
    Failure("mcp-closed", "Transport to MCP server 'example' is closed"),
    # Exit 3 and 4: facts/kiro-cli.md 5.3; the texts are [L].
    Failure("mcp-startup", "MCP server 'example' failed to start", exit_code=3, stage="startup"),
    Failure("agent-not-found", 'agent "absent" not found', exit_code=4, stage="startup"),
    # Exit 0 with empty stdout for a bad API key (facts/kiro-cli.md 5.3, seen at 2.4.2).
    Failure(
        "auth-exit-0",
        "Authentication failed. Your API key may be invalid or expired.",
        exit_code=0,
        stage="auth",
        plain=True,
    ),
    Failure("prompt-error", "Encountered an unexpected error"),
]
BY_NAME = {failure.name: failure for failure in _FAILURES}


def terminal_text(failure: Failure) -> str:
    """What stderr shows: the header over every failure of a request, `error:` lines for the rest."""
    if failure.plain:
        return f"{failure.message}\n"
    if failure.stage != "prompt":
        return f"error: {failure.message}\n"
    return f"{HEADER}\n   0: {failure.message}\n"


def stream_text(failure: Failure) -> str:
    """The `message` of the stream's runError."""
    return failure.stream_message or (_RPC + failure.message if failure.stage == "prompt" else failure.message)
