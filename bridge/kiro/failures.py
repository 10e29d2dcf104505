"""Why a run failed: what Kiro said and how it ended, as a problem that a person can act on.

Invariant: success needs proof, never exit code 0 alone (facts/kiro-stores.md A.8). Whatever is quoted was
cleaned, bounded, and had its secrets taken out.
"""

from __future__ import annotations

import re
import signal as signals
from collections.abc import Iterator
from dataclasses import dataclass

from bridge.core.feed import Notice
from bridge.errors import Problem
from bridge.kiro.terminal_text import plain

_QUOTE = 400
_LOG_IN = "Run `kiro-cli login` in a terminal of this machine, or set KIRO_API_KEY; the next prompt then works."
_TRUST = (
    "Allow it with the setting trust_all_tools or trust_tools, or in the agent's allowedTools: a run without a "
    "terminal cannot ask."
)
_AGAIN = "Send the prompt again."

_SECRETS = (
    re.compile(r"(?i)\b(authorization|cookie)\s*[:=]\s*[^\r\n]+"),
    re.compile(r"(?i)\b(bearer)\s+[\w.~+/=-]+"),
    re.compile(
        r"(?i)(\b[\w-]*(?:token|secret|password|api[_-]?key|user_code|client_id|signature)[\w-]*\"?\s*[:=]\s*\"?)"
        r"[^\s\",;&}]+"
    ),
    re.compile(r"()\beyJ[\w-]{8,}(?:\.[\w-]+)*"),
    re.compile(r"()\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"),
    re.compile(r"()\b(?:ksk_|aoa|aor)[\w+/=-]{20,}"),
    re.compile(r"()\b[A-Za-z0-9+/_-]{64,}={0,2}"),
)


def redacted(text: str) -> str:
    """Return `text` with everything that looks like a credential replaced."""
    for pattern in _SECRETS:
        text = pattern.sub(lambda found: f"{found.group(1)} [removed]".lstrip(), text)
    return text


def quoted(text: str) -> str:
    """Return what a program said, fit for a person: without control sequences and secrets, its end if it
    is long.
    """
    lines = (line.strip() for line in plain(text[-20 * _QUOTE :]).splitlines())
    said = redacted(" ".join(line for line in lines if line))
    return said if len(said) <= _QUOTE else "…" + said[-_QUOTE:].lstrip()


@dataclass(frozen=True)
class RunFacts:
    """How a run ended.

    `run_error` is the stream's `runError` message. `succeeded` says that the stream ended with success or
    that the store proves a finished answer. `prompt_seen` says that the store holds the prompt. `answered`
    says that some text of an answer was seen. `asked_id` and `got_id` are the conversation to be resumed
    and the one that ran.
    """

    exit_code: int | None
    signal: int | None = None
    stdout: str = ""
    stderr: str = ""
    run_error: str | None = None
    succeeded: bool = False
    prompt_seen: bool = False
    answered: bool = False
    end_reason: str | None = None
    asked_id: str | None = None
    got_id: str | None = None


@dataclass(frozen=True)
class _Rule:
    """A text that names a failure. `source` is where the text is known from."""

    code: str
    pattern: str
    cause: str
    remedy: str
    source: str


_RULES = (
    _Rule(
        "login_expired",
        r"ExpiredTokenException|no device registration found for token|Authentication failed|token (?:has )?expired"
        r"|API key may be invalid",
        "Kiro refused the login of this machine: it has expired or is invalid.",
        _LOG_IN,
        "facts/kiro-cli.md 5.3, 5.9",
    ),
    _Rule(
        "not_logged_in",
        r"not logged in|dispatch failure \(other\): No token|Failed to open (?:browser|URL)"
        r"|Confirm the following code in the browser",
        "kiro-cli is not logged in on this machine.",
        _LOG_IN,
        "facts/kiro-cli.md 5.9, 10; facts/kiro-stores.md A.8",
    ),
    _Rule(
        "out_of_credits",
        r"MONTHLY_REQUEST_COUNT|ServiceQuotaExceeded|(?:out of|used (?:up )?all (?:of )?your|no (?:more |remaining )?|"
        r"insufficient) credits|(?:monthly|usage) (?:request |usage )?limit|overage",
        "The Kiro account has no credits left.",
        "Wait until the limit resets, or raise it in the Kiro account.",
        "no public source has the words (facts/kiro-stores.md F)",
    ),
    _Rule(
        "throttled",
        r"ThrottlingException|TooManyRequests|RequestThrottledException|SlowDownException|rate limit",
        "Kiro's service is limiting how fast this account may ask.",
        "Wait a minute, then send the prompt again.",
        "facts/kiro-cli.md 5.9",
    ),
    _Rule(
        "context_overflow",
        r"context window (?:has )?overflow|CONTENT_LENGTH_EXCEEDS|ContextWindowOverflow|input is too long"
        r"|conversation is too (?:long|large)",
        "The conversation has grown too long for the model.",
        "Start a new conversation, or send /compact to shorten this one.",
        "no public source has the words (facts/kiro-stores.md F)",
    ),
    _Rule(
        "model_unavailable",
        r"model '[^']*' is not available|model (?:you've selected )?is (?:temporarily unavailable|not available)"
        r"|InvalidModel",
        "The model that was asked for cannot be used now.",
        "Choose another one with the setting model, or leave it empty for Kiro's own choice.",
        "facts/kiro-cli.md 5.9, facts/kiro-stores.md A.8",
    ),
    _Rule(
        "tool_refused",
        r"Tool approval required but --no-interactive",
        "Kiro wanted to use a tool that it may not use without being asked.",
        _TRUST,
        "facts/kiro-cli.md 5.5, 14 no. 6",
    ),
    _Rule(
        "mcp_startup_failed",
        r"MCP server\S* .{0,80}(?:failed to start|closed)|Transport to MCP server",
        "An MCP server did not start or went away.",
        "Look at the MCP servers in Kiro's configuration, then send the prompt again.",
        "facts/kiro-cli.md 5.9",
    ),
    _Rule(
        "agent_not_found",
        r"agent \"[^\"]*\" (?:not found|needs upgrading|has an invalid config)",
        "The agent that was asked for cannot be used.",
        "Name an agent that exists with the setting agent (`kiro-cli agent list` shows them), or leave it empty.",
        "facts/kiro-cli.md 5.3, facts/kiro-stores.md A.8",
    ),
    _Rule(
        "resume_lost",
        r"(?:session|conversation)\b.{0,120}\b(?:not found|does not exist|could not be loaded)"
        r"|(?:load|resume)\w* (?:the )?(?:session|conversation).{0,40}fail|failed to (?:load|resume)",
        "Kiro could not continue the earlier conversation.",
        "Send the prompt again: it will start a new conversation, without what was said before.",
        "facts/kiro-stores.md A.8",
    ),
    _Rule(
        "usage_error",
        r"error: unexpected argument|arguments are not supported with --agent-engine|is not supported on the v1 engine"
        r"|error: invalid value",
        "This kiro-cli does not take the options it was started with.",
        "Choose another engine with the setting engine, or use another version of kiro-cli.",
        "facts/kiro-cli.md 5.1, facts/kiro-stores.md A.8, A.9 row 2",
    ),
    _Rule(
        "response_timeout",
        r"Response timed out|stream timed out receiving the response",
        "The model took too long to answer.",
        "Send the prompt again, in smaller steps if it was a large task.",
        "facts/kiro-cli.md 5.9, facts/kiro-wire.md 8",
    ),
)
_TABLE = tuple((rule, re.compile(rule.pattern, re.I | re.S)) for rule in _RULES)
_BY_CODE = {rule.code: rule for rule in _RULES}
_BY_EXIT = {2: "usage_error", 3: "mcp_startup_failed", 4: "agent_not_found"}
"""facts/kiro-cli.md 5.3."""

_WARNINGS = (
    ("tool_refused", r"\[denied\] .*", "Kiro was refused a tool it wanted to use. " + _TRUST),
    (
        "agent_not_found",
        r"(?:\[warn\] )?agent \"[^\"]*\" (?:not found|needs upgrading|has an invalid config).*",
        "",
    ),
    ("model_not_set", r"\[warn\] failed to set model .*", ""),
    ("effort_not_set", r"\[warn\] failed to set effort .*", ""),
    ("mcp_disabled", r"Failed to retrieve MCP settings; MCP functionality disabled.*", ""),
)
"""Lines of stderr of a run that goes on (facts/kiro-stores.md A.8, A.9 row 3, facts/kiro-cli.md 5.7, 5.8)."""
_WARNING_TABLE = tuple((key, re.compile(pattern), text) for key, pattern, text in _WARNINGS)


def warnings_in(line: str) -> Iterator[Notice]:
    """Yield what a person should know from one line of stderr while the run goes on."""
    clean = plain(line).strip()
    for key, pattern, text in _WARNING_TABLE:
        if pattern.match(clean):
            yield Notice(key, text or f"Kiro says: {quoted(clean)}", "warning")


def not_logged_in(said: str = "") -> Problem:
    """Return the problem of a kiro-cli without a login."""
    return _problem(_BY_CODE["not_logged_in"], said)


def classify(facts: RunFacts) -> Problem | None:
    """Return why the run failed, None if it succeeded. A run that we stopped ourselves is not to be asked
    about: v1 then claims that a tool approval was missing (facts/kiro-cli.md 14 no. 7).
    """
    if facts.succeeded:
        return _resumed_elsewhere(facts)
    said = facts.run_error or facts.stderr
    rule = _named(facts)
    if rule is not None:
        return _problem(rule, said or facts.stdout)
    if facts.signal is not None:
        return _killed(facts.signal, said)
    return _without_proof(facts, said)


def _resumed_elsewhere(facts: RunFacts) -> Problem | None:
    if facts.asked_id is None or facts.got_id in (None, facts.asked_id):
        return None
    return Problem(
        "resume_lost",
        "Kiro could not continue the earlier conversation and answered in a new one, without what was said before.",
        "Following prompts continue the new conversation: repeat there what Kiro needs to know.",
    )


def _named(facts: RunFacts) -> _Rule | None:
    """Return the rule whose words Kiro used. What it printed as an answer is looked at only if there was
    none.
    """
    sources = [facts.run_error or "", plain(facts.stderr)]
    if not facts.answered:
        sources.append(plain(facts.stdout))
    for text in sources:
        for rule, pattern in _TABLE:
            if text and pattern.search(text):
                return rule
    return _BY_CODE.get(_BY_EXIT.get(facts.exit_code if facts.exit_code is not None else 0, ""))


def _killed(number: int, said: str) -> Problem:
    try:
        name = signals.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    cause = f"kiro-cli was ended by {name} before it had finished; the bridge did not do that."
    if number == signals.SIGKILL:
        cause += " A machine that runs out of memory does so."
    return Problem("killed", _with_quote(cause, said), f"{_AGAIN} What was done before it stopped stays done.")


def _without_proof(facts: RunFacts, said: str) -> Problem:
    if facts.run_error is not None:
        return Problem("run_error", _with_quote("Kiro ended the run with an error.", said), _AGAIN)
    if facts.end_reason:
        cause = f"Kiro ended the turn before the answer was finished ({quoted(facts.end_reason)})."
    elif facts.exit_code not in (0, None):
        cause = f"kiro-cli ended with exit code {facts.exit_code} and no finished answer."
        return Problem("crashed", _with_quote(cause, said), _AGAIN)
    elif facts.prompt_seen or facts.answered:
        cause = "kiro-cli ended without having finished its answer, though it reported no error."
    else:
        cause = "kiro-cli ended without an answer, though it reported no error."
    return Problem("no_answer", _with_quote(cause, said), _AGAIN)


def _problem(rule: _Rule, said: str) -> Problem:
    return Problem(rule.code, _with_quote(rule.cause, said), rule.remedy)


def _with_quote(cause: str, said: str) -> str:
    words = quoted(said)
    stop = "" if words.endswith((".", "!", "?", "…", '"')) else "."  # the remedy follows
    return f"{cause} It said: {words}{stop}" if words else cause
