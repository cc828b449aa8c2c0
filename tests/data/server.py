"""A small HTTP server that can break off, change its file, or refuse ranges."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Shelf:
    """What the server has, how it behaves, and what it was asked."""

    content: bytes
    url: str = ""
    break_after: int | None = None
    """Of a body, send so many bytes and close."""
    ranges: bool = True
    tags: bool = True
    status: int | None = None
    asked: list[dict[str, str]] = field(default_factory=list)

    @property
    def tag(self) -> str:
        return '"' + hashlib.sha256(self.content).hexdigest()[:12] + '"'


@contextmanager
def serving(content: bytes) -> Iterator[Shelf]:
    """A server on a free port of this machine."""
    shelf = Shelf(content)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            shelf.asked.append(headers)
            if shelf.status is not None:
                self.send_error(shelf.status)
                return
            body, start = shelf.content, 0
            wanted = headers.get("range", "")
            if wanted and shelf.ranges and headers.get("if-range") == shelf.tag:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                body = body[start:]
            self.send_response(206 if start else 200)
            if start:
                last = len(shelf.content) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
            if shelf.tags:
                self.send_header("ETag", shelf.tag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            cut = len(body) if shelf.break_after is None else shelf.break_after
            self.wfile.write(body[:cut])
            self.wfile.flush()
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    shelf.url = f"http://127.0.0.1:{server.server_port}/trace.csv"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield shelf
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
