"""What a connection may send before there is a request to answer; over real sockets."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest
import uvicorn

from orchestrator.api.middleware import connections
from orchestrator.api.middleware.connections import MOST_HEAD, BoundedProtocol


async def echo(scope, receive, send):
    """Answers with the length of the body, at /meanwhile before it is there; at /much with more than buffers hold."""
    if scope["path"] == "/much":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(MUCH):
            await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    size, more = 0, True
    if scope["path"] == "/meanwhile":
        await send({"type": "http.response.start", "status": 200, "headers": []})
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = str(size).encode()
    if scope["path"] != "/meanwhile":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


MUCH = 50


@contextmanager
def listening(patience: float, *, most: int = 100, body_patience: float = 30.0) -> Iterator[int]:
    """The port of a server in a thread."""
    settings = {"patience": patience, "body_patience": body_patience, "most": most}
    protocol = type("Impatient", (BoundedProtocol,), settings)
    config = uvicorn.Config(echo, http=protocol, lifespan="off", log_config=None, access_log=False, server_header=False)
    server, listener = uvicorn.Server(config), socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture
def connect() -> Iterator:
    with listening(30.0) as port:
        yield lambda: closing(socket.create_connection(("127.0.0.1", port), timeout=20))


@pytest.fixture
def impatient() -> Iterator:
    with listening(0.3) as port:
        yield lambda: closing(socket.create_connection(("127.0.0.1", port), timeout=20))


def answer_on(connection) -> bytes:
    """All that comes until the server closes."""
    pieces = []
    try:
        while piece := connection.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:  # it closed while more was on its way
        pass
    return b"".join(pieces)


def is_problem(answer, status):
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer
    assert b"content-type: application/problem+json" in head
    assert b"x-content-type-options: nosniff" in head
    assert b"server:" not in head.lower()
    assert json.loads(body)["status"] == status


@pytest.mark.parametrize("pieces", [1, 50])
def test_headers_without_end_are_refused(connect, pieces):
    with connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        size = 2 * MOST_HEAD // pieces
        for i in range(pieces):
            try:
                connection.sendall(b"x-%d: %s\r\n" % (i, b"x" * size))
            except OSError:
                break
            time.sleep(0)
        is_problem(answer_on(connection), 431)


def test_a_long_head_in_one_piece_is_refused(connect):
    with connect() as connection:
        connection.sendall(b"GET /" + b"x" * (MOST_HEAD + 1) + b" HTTP/1.1\r\nhost: t\r\n\r\n")
        is_problem(answer_on(connection), 431)


def test_a_large_head_within_the_limit_and_a_large_body_are_read(connect):
    with connect() as connection:
        for _ in range(2):  # and the connection can be used again
            head = (
                b"POST / HTTP/1.1\r\nhost: t\r\nx: " + b"x" * (MOST_HEAD - 1000) + b"\r\ncontent-length: 500000\r\n\r\n"
            )
            connection.sendall(head + b"b" * 500_000)
            answer = b""
            while not answer.endswith(b"500000"):
                answer += connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")


def test_what_is_not_http_is_a_problem(connect):
    with connect() as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        is_problem(answer_on(connection), 400)


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HTTP/1.1\r\nhost:",
        b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 10\r\n\r\nhalf",
        b"GET / HTTP/1.1\r\nhost: t\r\n\r\nGET / HTT",
    ],
)
def test_a_client_that_does_not_go_on_is_left(impatient, begun):
    with impatient() as connection:
        connection.sendall(begun)
        answer = answer_on(connection)  # the server closes; otherwise this would time out
        assert answer.startswith(b"HTTP/1.1 200") == (begun.count(b"GET") == 2)


def test_headers_that_trickle_are_not_waited_for(impatient):
    with impatient() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: t\r\nx: ")
        with suppress(OSError):  # reset or broken pipe, as it falls
            while True:
                connection.sendall(b"x")
                time.sleep(0.02)


def test_a_body_that_goes_on_slowly_is_waited_for(impatient):
    with impatient() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 10\r\nconnection: close\r\n\r\n")
        for _ in range(10):
            connection.sendall(b"b")
            time.sleep(0.06)
        assert answer_on(connection).endswith(b"10")


@pytest.mark.parametrize("path", [b"/", b"/meanwhile"])
def test_a_body_that_trickles_is_waited_for_only_while_it_is_being_answered(path):
    head = b"POST " + path + b" HTTP/1.1\r\nhost: t\r\ncontent-length: 30\r\nconnection: close\r\n\r\n"
    with (
        listening(0.3, body_patience=0.6) as port,
        closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as client,
    ):
        client.sendall(head)
        with suppress(OSError):  # reset or broken pipe, as it falls
            for _ in range(30):
                client.sendall(b"b")
                time.sleep(0.06)
        assert (b"30" in answer_on(client)) == (path == b"/meanwhile")


def test_a_body_that_goes_on_fast_may_take_longer_than_a_small_one():
    size = 30 * 65_536
    with (
        listening(0.3, body_patience=0.05) as port,
        closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as client,
    ):
        client.sendall(b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % size)
        for _ in range(30):
            client.sendall(bytes(65_536))
            time.sleep(0.03)
        assert answer_on(client).endswith(b"%d" % size)


def test_more_connections_than_there_may_be_are_refused_and_the_others_go_on():
    request = b"GET / HTTP/1.1\r\nhost: t\r\n\r\n"
    with listening(20.0, most=2) as port:

        def connected():
            return closing(socket.create_connection(("127.0.0.1", port), timeout=20))

        with connected() as one, connected() as two:
            for connection in (one, two):
                connection.sendall(request)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            with connected() as three:
                answer = answer_on(three)
                is_problem(answer, 503)
                assert b"retry-after: " in answer
            one.sendall(request)
            assert one.recv(65536).startswith(b"HTTP/1.1 200")
        for _ in range(100):  # until it has noticed that they are gone
            with connected() as again:
                again.sendall(request)
                if again.recv(65536).startswith(b"HTTP/1.1 200"):
                    return
            time.sleep(0.05)
        raise AssertionError("nobody is let in any more")


@pytest.mark.parametrize("connection", [b"", b"connection: close\r\n"])
def test_a_client_that_does_not_read_its_answer_is_left(impatient, connection):
    with impatient() as client:
        client.sendall(b"GET /much HTTP/1.1\r\nhost: t\r\n" + connection + b"\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        time.sleep(1.5)
        assert len(answer_on(client)) < MUCH * 2**20


def test_a_client_that_reads_steadily_is_not_left_however_little_it_reads_at_once(impatient):
    with impatient() as client:
        client.sendall(b"GET /much HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")
        size, until = 0, time.monotonic() + 3
        while time.monotonic() < until:  # many times its patience, and less than the buffers between us hold
            size += len(client.recv(2**14))
            time.sleep(0.02)
        assert size < 4 * 2**20
        while piece := client.recv(2**18):
            size += len(piece)
        assert size > MUCH * 2**20


def test_where_the_system_does_not_tell_what_is_read_a_client_is_left_much_later(monkeypatch):
    monkeypatch.setattr(connections, "_acknowledged", lambda _: None)
    with (
        listening(0.1) as port,
        closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as client,
    ):
        client.sendall(b"GET /much HTTP/1.1\r\nhost: t\r\n\r\n")
        time.sleep(2.5)
        assert len(answer_on(client)) < MUCH * 2**20


def test_a_client_that_reads_its_answer_slowly_gets_all_of_it(impatient):
    with impatient() as client:
        client.sendall(b"GET /much HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")
        size = 0
        while piece := client.recv(2**18):
            size += len(piece)
            time.sleep(0.01)
        assert size > MUCH * 2**20
