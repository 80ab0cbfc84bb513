"""A Hub on the loopback: real HTTP, an in-memory store, and faults that can be asked for."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.hub_server.answers import Answer, Request, answer
from tests.hub_server.faults import Fault
from tests.hub_server.store import Store, User

ALICE, READER = "hf_alice", "hf_reader"
"""Tokens: Alice may write to `alice` and `org`, the reader to nothing but his own."""


class Gone(Exception):  # noqa: N818
    """The server is no more."""


class Hub:
    """One server; it may die and come back, its store stays."""

    def __init__(self) -> None:
        self.store = Store({ALICE: User("alice", ("org",)), READER: User("reader")})
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str]] = []
        """Method and path of every request."""

        self._http: ThreadingHTTPServer | None = None
        self._connections: set[socket.socket] = set()
        self._port = 0

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is to be."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def other_url(self) -> str:
        """The same server, another origin: large files are sent from there."""
        return f"http://localhost:{self._port}"

    def fail(self, **what: object) -> Fault:
        """See `Fault`."""
        fault = Fault(**what)  # type: ignore[arg-type]
        self.faults.append(fault)
        return fault

    def count(self, method: str, part: str) -> int:
        """Requests so far whose path holds this part."""
        return sum(seen == method and part in path for seen, path in self.seen)

    def start(self) -> None:
        """Listen, after a death on the same port."""
        http = ThreadingHTTPServer(("127.0.0.1", self._port), _handler(self))
        http.block_on_close = False
        self._http, self._port = http, http.server_address[1]
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()

    def die(self) -> None:
        """Every connection breaks off, new ones are refused."""
        http, self._http = self._http, None
        if http is None:
            return
        http.shutdown()
        http.server_close()
        for connection in tuple(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def running_hub() -> Iterator[Hub]:
    """For the time of a test."""
    hub = Hub()
    hub.start()
    try:
        yield hub
    finally:
        hub.die()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            hub._connections.add(self.connection)

        def finish(self) -> None:
            hub._connections.discard(self.connection)
            with suppress(OSError):
                super().finish()

        def handle(self) -> None:
            with suppress(ConnectionError, ValueError, Gone):
                super().handle()

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

        def serve(self) -> None:
            path, _, query = self.path.partition("?")
            hub.seen.append((self.command, path))
            fault = next((fault for fault in hub.faults if fault.meets(self.command, path)), None)
            if fault and fault.die_after is not None:
                self.rfile.read(fault.die_after)
                hub.die()
                raise Gone
            body = self.body()
            if fault and fault.meanwhile:
                fault.meanwhile()
            if fault and fault.status:
                made = Answer(fault.status, b'{"error": "asked for by the test"}', fault.headers)
            else:
                host = self.headers.get("host", "")
                made = answer(
                    hub.store,
                    Request(
                        self.command,
                        urlsplit(path).path,
                        parse_qs(query),
                        {name.lower(): value for name, value in self.headers.items()},
                        body,
                        f"http://{host}",
                        hub.other_url,
                    ),
                )
            if fault and fault.answer_lost:
                raise Gone
            self.send(made, fault)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve

        def body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def send(self, made: Answer, fault: Fault | None) -> None:
            content = made.body
            if fault and fault.change:
                content = bytes(byte ^ 1 for byte in content)
            self.send_response(made.status)
            for name, value in made.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "HEAD":
                return
            if fault and fault.keep is not None:
                self.wfile.write(content[: fault.keep])
                self.wfile.flush()
                self.close_connection = True
                return
            self.wfile.write(content)

    return Handler
