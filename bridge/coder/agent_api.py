"""Requests to Coder as the workspace's agent (facts/coder-platform.md 2.6, 3.6).

Invariant: the token goes into one header and to no other host: redirects are not followed, and it is in no error.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bridge.errors import BridgeError

_PATH = "/api/v2/workspaceagents/me/"


class CoderError(BridgeError):
    """Coder could not be asked, or refused."""

    code = "coder_error"


class CoderUnreachable(CoderError):
    """Coder gave no answer."""

    code = "coder_unreachable"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


class AgentApi:
    """Coder's API for the agent of this workspace. `url` is `CODER_AGENT_URL`, `token` `CODER_AGENT_TOKEN`.

    Raises CoderError for a URL that is not one.
    """

    def __init__(self, url: str, token: str) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
            raise CoderError(
                f"{url!r} is no URL of a Coder server.",
                "Set CODER_AGENT_URL as the Coder agent does, such as https://coder.example.com.",
            )
        self._base = url.rstrip("/") + _PATH
        self._token = token
        self._opener = urllib.request.build_opener(_NoRedirect)

    def request(self, method: str, path: str, body: bytes, timeout: float) -> int:
        """Send a JSON `body` and return the status, whatever it is; each wait takes at most `timeout` seconds.

        Raises CoderUnreachable when there is no answer.
        """
        headers = {"Content-Type": "application/json", "Coder-Session-Token": self._token}
        request = urllib.request.Request(self._base + path, body, headers, method=method)
        try:
            with self._opener.open(request, timeout=timeout) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise CoderUnreachable(
                f"Coder did not answer: {reason or type(reason).__name__}.",
                "Check that the workspace reaches the URL in CODER_AGENT_URL.",
            ) from None


def as_json(value: Mapping[str, Any]) -> bytes:
    """Return the value as compact JSON in UTF-8; what cannot be encoded is replaced."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
