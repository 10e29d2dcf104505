"""How an event stream begins: an ordinary request whose connection is then handed to the broadcaster.

Invariant: the head of the response is what Flask made of it, CORS headers included; no thread of the server is held by
an open stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Request, Response

from bridge.web.agent_feed import AgentFeed
from bridge.web.broadcaster import AgentStream, Broadcaster, ScreenStream, SessionStream, Stream
from bridge.web.session_feed import SessionFeed
from bridge.web.sse import HEADERS
from bridge.web.worker import Detached

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_STREAM = "bridge.stream"


class Streams:
    """Opens event streams; `full` tells when no more are taken."""

    def __init__(
        self, broadcaster: Broadcaster, agent_feed: AgentFeed, session_feed: SessionFeed, max_clients: int
    ) -> None:
        self._broadcaster = broadcaster
        self._agent_feed = agent_feed
        self._session_feed = session_feed
        self._max_clients = max_clients

    @property
    def full(self) -> bool:
        """Return whether as many streams are open as are allowed."""
        return self._broadcaster.now_streams >= self._max_clients

    def agentapi(self, request: Request) -> Response:
        """Answer `/events` of AgentAPI."""
        return self._begin(request, AgentStream(self._agent_feed))

    def screen(self, request: Request) -> Response:
        """Answer `/internal/screen` of AgentAPI."""
        return self._begin(request, ScreenStream(self._agent_feed))

    def session(self, request: Request, session_id: str, last_seq: int | None) -> Response:
        """Answer with the events of one session that follow `last_seq`, or from now on."""
        return self._begin(request, SessionStream(self._session_feed, session_id, last_seq))

    def wrap(self, app: WSGIApplication) -> WSGIApplication:
        """Return `app` with the hand-over of connections around it."""

        def detaching(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            head: list[tuple[str, list[tuple[str, str]]]] = []

            def begin(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
                if _STREAM in environ:
                    head.append((status, headers))
                    return _write_nothing
                return start_response(status, headers, exc_info)

            body = app(environ, begin)
            if not head:
                return body
            self._hand_over(environ, *head[-1])
            raise Detached

        return detaching

    def _begin(self, request: Request, stream: Stream) -> Response:
        request.environ[_STREAM] = stream
        response = Response(status=HTTPStatus.OK)
        response.headers.clear()
        for name, value in HEADERS:
            response.headers[name] = value
        return response

    def _hand_over(self, environ: WSGIEnvironment, status: str, headers: list[tuple[str, str]]) -> None:
        chunked = environ.get("SERVER_PROTOCOL") == "HTTP/1.1"
        lines = [f"HTTP/1.1 {status}"]
        lines += [f"{name}: {value}" for name, value in headers if name.lower() != "content-length"]
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        head = "\r\n".join(lines) + "\r\n\r\n"
        self._broadcaster.adopt(environ["gunicorn.socket"], head.encode("latin-1"), environ[_STREAM], chunked)


def _write_nothing(_data: bytes) -> None:
    return None
