"""How an event stream begins: an ordinary request whose connection is then handed to the broadcaster.

Invariants: the head of the response is what Flask made of it, CORS headers included; no thread of the server is held by
an open stream, nor by the reader of an answer that is too long for the socket's buffer. Answers that hold a
conversation are made one at a time (`bridge.web.answers`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

from flask import Request, Response

from bridge.web.agent_feed import AgentFeed
from bridge.web.answers import Answer, Answers, Body
from bridge.web.broadcaster import Broadcaster
from bridge.web.rendered_feed import RenderedStream
from bridge.web.session_feed import SessionFeed
from bridge.web.sse import HEADERS
from bridge.web.subscriptions import AgentStream, ScreenStream, SessionStream, Stream, WholeAnswer
from bridge.web.worker import Detached

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_STREAM = "bridge.stream"
LONG_ANSWER = 128 * 1024
"""Bytes of a body from which on its reader is the broadcaster's business."""

_HISTORIES = ("/messages", "/items")
"""Ends of the paths whose answers grow with the conversation."""


class Streams:
    """Opens event streams; `full` tells when no more are taken."""

    def __init__(
        self,
        broadcaster: Broadcaster,
        agent_feed: AgentFeed,
        session_feed: SessionFeed,
        max_clients: int,
        overview: Callable[[int | None], Stream] | None = None,
    ) -> None:
        self._broadcaster = broadcaster
        self._agent_feed = agent_feed
        self._session_feed = session_feed
        self._max_clients = max_clients
        self._overview = overview
        self._answers = Answers()

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

    def overview(self, request: Request, last_seq: int | None) -> Response:
        """Answer with what a list of all sessions needs."""
        assert self._overview is not None  # given where the route is
        return self._begin(request, self._overview(last_seq))

    def rendered(self, request: Request, session_id: str, last_seq: int | None, everything: bool) -> Response:
        """Answer with the same events for the chat page: text rendered, on demand with what lists of sessions show."""
        return self._begin(request, RenderedStream(self._session_feed.rendered, session_id, last_seq, everything))

    def follow(self, request: Request, stream: Stream) -> Response:
        """Answer with what a stream of somebody else's gives, who wakes the broadcaster when there is something."""
        return self._begin(request, stream)

    def wrap(self, app: WSGIApplication) -> WSGIApplication:
        """Return `app` with the hand-over of connections around it."""

        def detaching(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"].endswith(_HISTORIES):
                answer = self._answers.made(_asked(environ), lambda: _whole_answer(app, environ))
                if len(answer.body.data) >= LONG_ANSWER and "gunicorn.socket" in environ:
                    self._hand_over_whole(environ, answer)
                start_response(answer.status, answer.headers)
                return [answer.body.data]
            return begun(environ, start_response)

        def begun(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            head: list[tuple[str, list[tuple[str, str]]]] = []

            def begin(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
                if _STREAM in environ or _is_long(environ, headers):
                    head.append((status, headers))
                    return _write_nothing
                return start_response(status, headers, exc_info)

            body = app(environ, begin)
            if not head:
                return body
            if _STREAM in environ:
                _closed(body)
                self._hand_over(environ, *head[-1])
            self._hand_over_whole(environ, Answer(*head[-1], Body(_closed(body))))
            return ()

        return detaching

    def _begin(self, request: Request, stream: Stream) -> Response:
        request.environ[_STREAM] = stream
        response = Response(status=HTTPStatus.OK)
        response.headers.clear()
        for name, value in HEADERS:
            response.headers[name] = value
        return response

    def _hand_over(self, environ: WSGIEnvironment, status: str, headers: list[tuple[str, str]]) -> NoReturn:
        chunked = environ.get("SERVER_PROTOCOL") == "HTTP/1.1"
        kept = [header for header in headers if header[0].lower() != "content-length"]
        if chunked:
            kept.append(("Transfer-Encoding", "chunked"))
        self._broadcaster.adopt(environ["gunicorn.socket"], _head(status, kept), environ[_STREAM], chunked)
        raise Detached

    def _hand_over_whole(self, environ: WSGIEnvironment, answer: Answer) -> NoReturn:
        head = _head(answer.status, [*answer.headers, ("Connection", "close")])
        stream = WholeAnswer(self._answers.held_once(answer.body))
        self._broadcaster.adopt(environ["gunicorn.socket"], head, stream, False)
        raise Detached


def _asked(environ: WSGIEnvironment) -> Hashable:
    """Return all that an answer may depend on."""
    names = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")
    return frozenset((name, value) for name, value in environ.items() if name.startswith("HTTP_") or name in names)


def _whole_answer(app: WSGIApplication, environ: WSGIEnvironment) -> Answer:
    head: list[tuple[str, list[tuple[str, str]]]] = []

    def begin(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], object]:
        head.append((status, headers))
        return _write_nothing

    body = _closed(app(environ, begin))
    return Answer(*head[-1], Body(body))


def _closed(body: Iterable[bytes]) -> bytes:
    """Return all of a body and have its maker clean up."""
    try:
        return b"".join(body)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()


def _is_long(environ: WSGIEnvironment, headers: list[tuple[str, str]]) -> bool:
    length = next((value for name, value in headers if name.lower() == "content-length"), "0")
    return int(length) >= LONG_ANSWER and environ["REQUEST_METHOD"] != "HEAD" and "gunicorn.socket" in environ


def _head(status: str, headers: list[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _write_nothing(_data: bytes) -> None:
    return None
