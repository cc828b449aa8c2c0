"""Pages over a kept connection, fetched again and again."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

from dcsim.lab.measure.errors import SampleError


class Page:
    """One address, fetched again and again; reconnects after a failure."""

    def __init__(
        self, url: str, timeout_s: float = 2.0, headers: dict[str, str] | None = None
    ) -> None:
        parts = urlsplit(url)
        self.url = url
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._timeout_s = timeout_s
        self._headers = headers or {}
        self._open: http.client.HTTPConnection | None = None

    def fetch(self) -> bytes:
        """The page's body. Raises SampleError."""
        try:
            if self._open is None:
                self._open = self._connect()
            self._open.request("GET", self._path, headers=self._headers)
            answer = self._open.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException, ssl.SSLError) as error:
            self.close()
            raise SampleError(f"{self.url}: {error or type(error).__name__}") from None
        if answer.status != 200:
            raise SampleError(f"{self.url}: answered {answer.status} {answer.reason}")
        return body

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=self._timeout_s)
