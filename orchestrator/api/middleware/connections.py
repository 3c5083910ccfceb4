"""Limits on what a connection may send before there is a request to answer."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import struct
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from orchestrator.api.middleware.security_headers import ALWAYS, NOTHING

# Bytes of the request line and all headers.
MOST_HEAD = 32_768
# Seconds for a whole head, between two pieces of a body, and until a client reads more of its answer.
PATIENCE = 30.0
# Seconds for a whole body, and one more for as many bytes as have come of it.
BODY_PATIENCE = 30.0
BODY_RATE = 65_536
# As many times more patience with a client that does not read, where the system does not tell whether it does.
_BLIND = 10
# In struct tcp_info of Linux: bytes_acked, after 8 fields of 8 bits, 24 of 32, and 2 of 64.
_BYTES_ACKED = 120
_TCP_INFO_SIZE = 256
# At once, idle ones too: each may hold a head and 64 KiB of a body that nobody has asked for yet.
MOST_CONNECTIONS = 4096


class _HeadTooLargeError(Exception):
    """Raised to the parser, which stops."""


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, with a bounded head, and no patience with clients that do not go on.

    Going on is sending what was begun, at some speed, and reading what was asked for.

    What is wrong with a request that cannot even be read is told as a problem document too.
    """

    patience = PATIENCE
    body_patience = BODY_PATIENCE
    most = MOST_CONNECTIONS

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._in_head = True
        self._head = 0
        self._too_large = False
        # Of the body being received: when it began, and bytes of it.
        self._body_began = 0.0
        self._body = 0
        # Since when the client owes us something; none while we owe it an answer.
        self._since: float | None = None
        self._watch: asyncio.TimerHandle | None = None
        # How far the client has come with its answer, and since when; none where it had read all.
        self._unread: tuple[int, float] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request, unless there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse(
                503,
                b"Service Unavailable",
                "too-many-connections",
                f"there are {self.most} connections already",
                "use connections again, and wait for the seconds in Retry-After before opening another",
                (b"retry-after", b"1"),
            )
            return
        self._since = self.loop.time()
        self._watch = self.loop.call_later(self.patience, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head."""
        if self._since is None:
            self._since = self.loop.time()
        if self._in_head:
            self._head += len(data)
        super().data_received(data)
        if self._in_head and self._head > MOST_HEAD and not self.transport.is_closing():
            self._too_large = True
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        """Measure the head, which may have come in one piece with more behind it."""
        head = self._head  # most often this much is enough to know
        if head > MOST_HEAD:
            head = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if head > MOST_HEAD:
            self._too_large = True
            raise _HeadTooLargeError
        self._in_head = False
        self._since = self._body_began = self.loop.time()
        self._body = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """The client goes on."""
        self._since = self.loop.time()
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next thing owed is our answer."""
        self._in_head, self._head, self._since = True, 0, None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - it says the same always
        """Tell what is wrong with a request that cannot be read, and close."""
        if self._too_large:
            self._refuse(
                431,
                b"Request Header Fields Too Large",
                "header-too-large",
                f"the request's headers are larger than {MOST_HEAD} bytes",
                "send less in headers and query",
            )
        else:
            self._refuse(
                400,
                b"Bad Request",
                "malformed-http",
                "this is not HTTP/1.1",
                "check the client, and that it speaks HTTP and not HTTPS",
            )

    def _refuse(self, status: int, reason: bytes, kind: str, detail: str, fix: str, *more: tuple[bytes, bytes]) -> None:
        """Answer a problem to what is no request for the application, and close."""
        problem: dict[str, object] = {
            "type": f"urn:journey:problem:{kind}",
            "title": "Temporarily unavailable" if status == 503 else "Malformed request",
            "status": status,
            "detail": detail,
            "fix": fix,
            "errors": [],
            "request_id": None,
        }
        body = json.dumps(problem).encode()
        headers = [
            *self.server_state.default_headers,
            *ALWAYS,
            (b"content-security-policy", NOTHING),
            (b"cache-control", b"no-store"),
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            *more,
        ]
        lines = [b"HTTP/1.1 %d %s" % (status, reason), *(name + b": " + value for name, value in headers)]
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        self.transport.close()

    def _look(self) -> None:
        """Close if the client has kept us waiting; while we let it wait, time does not count."""
        now = self.loop.time()
        if self._reads_nothing(now):
            self.transport.abort()  # closing would wait until it has read
            return
        if self.transport.is_closing():
            self._watch = self.loop.call_later(self.patience, self._look)  # for the rest of what it was answered
            return
        if (
            self._since is None
            or self.flow.read_paused
            or (self.cycle and not self.cycle.response_complete and self._in_head)
        ):
            due = now + self.patience
        else:
            due = min(self._since + self.patience, self._whole_body_due())
        if due <= now:
            self.transport.close()
            return
        self._watch = self.loop.call_later(due - now, self._look)

    def _whole_body_due(self) -> float:
        """When all of the body should have come, by how much of it has; memory is kept for it all the while.

        Of a body that is answered while it comes, nothing is kept: it may go on as long as its pieces come in time.
        """
        cycle = self.cycle
        if self._in_head or (cycle and cycle.response_started and not cycle.response_complete):
            return math.inf
        return self._body_began + self.body_patience + self._body / BODY_RATE

    def _reads_nothing(self, now: float) -> bool:
        """Whether the client has let an answer lie for too long."""
        if not self.transport.get_write_buffer_size():
            self._unread = None
            return False
        progress, patience = _acknowledged(self.transport), self.patience
        if progress is None:
            # What we have written stays the same for long, or seems to, while the system's own buffers are being read.
            progress, patience = self.transport.get_write_buffer_size(), _BLIND * self.patience
        if self._unread is None or self._unread[0] != progress:
            self._unread = progress, now
        return now - self._unread[1] >= patience


def _acknowledged(transport: asyncio.Transport) -> int | None:
    """Bytes that have reached the client's system; none where ours does not tell."""
    connection = transport.get_extra_info("socket")
    try:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
        (acknowledged,) = struct.unpack_from("=Q", told, _BYTES_ACKED)
    except (AttributeError, OSError, struct.error):  # not Linux, not TCP, or before 4.1
        return None
    return int(acknowledged)
