"""Brings a file over the network: resumable, checked, whole or absent under its name."""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dcsim.errors import ChecksumError, FetchError, OfflineError

BLOCK = 1 << 18
TIMEOUT_S = 30.0
"""Without a byte for so long, the connection counts as lost."""
HASH_LENGTH = 64

Progress = Callable[[int, int | None], None]
"""Told of bytes so far and of all there are (None: not known)."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that came whole."""

    path: Path
    size: int
    sha256: str
    resumed_at: int
    """Bytes that were there from an earlier try; 0 where it began anew."""


def fetch(
    url: str,
    path: Path,
    *,
    sha256: str | None = None,
    progress: Progress | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Fetched:
    """Fetch `url` to `path`, which is replaced only by a whole and right file.

    What came of a file whose connection broke is kept beside it and gone on with the next time,
    if the server still has the same one. With `sha256`, other content is refused.

    Raises OfflineError where the server cannot be reached, FetchError where it does not have the
    file or breaks off, ChecksumError for another checksum, OSError where `path` cannot be written.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise FetchError(f"{url}: not an http or https address")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    tag_file = path.with_name(f".{path.name}.tag")
    have = part.stat().st_size if part.exists() else 0
    tag = _read(tag_file)
    if have and not tag:  # nothing says that the rest would be of the same file
        have = 0
    try:
        start = _transfer(url, part, tag_file, have, tag, progress, timeout_s)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise _transfer_error(url, part, error) from error
    digest = file_sha256(part)
    if sha256 is not None and digest != sha256.lower():
        part.unlink()
        tag_file.unlink(missing_ok=True)
        raise ChecksumError(
            f"{url}: SHA-256 is {digest}, not {sha256.lower()}; thrown away, {path} is untouched"
        )
    size = part.stat().st_size
    part.replace(path)
    tag_file.unlink(missing_ok=True)
    return Fetched(path, size, digest, start)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _transfer(
    url: str,
    part: Path,
    tag_file: Path,
    have: int,
    tag: str,
    progress: Progress | None,
    timeout_s: float,
) -> int:
    """Fill `part`; returns at which byte it began."""
    headers = {"User-Agent": "dcsim", "Accept-Encoding": "identity"}
    if have:
        # If-Range: the whole file where it has changed since.
        headers |= {"Range": f"bytes={have}-", "If-Range": tag}
    request = urllib.request.Request(url, headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        part.unlink()  # longer than the file is now
        return _transfer(url, part, tag_file, 0, "", progress, timeout_s)
    with answer:
        going_on = (
            answer.status == 206 and _starts_at(answer.headers.get("Content-Range", "")) == have
        )
        start = have if going_on else 0
        tag_file.write_text(_tag(answer.headers), encoding="utf-8")
        length = answer.headers.get("Content-Length", "")
        whole = start + int(length) if length.isdigit() else None
        done = start
        with part.open("ab" if going_on else "wb") as file:
            while block := answer.read(BLOCK):
                file.write(block)
                done += len(block)
                if progress is not None:
                    progress(done, whole)
            file.flush()
            os.fsync(file.fileno())
    if whole is not None and done < whole:
        raise http.client.IncompleteRead(b"", whole - done)
    return start


def _starts_at(content_range: str) -> int | None:
    """Of `bytes 100-199/200`: 100."""
    first = content_range.removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdigit() else None


def _tag(headers: http.client.HTTPMessage) -> str:
    """What names this very content: a strong ETag, else the time of its last change."""
    tag = str(headers.get("ETag", ""))
    return tag if tag and not tag.startswith("W/") else str(headers.get("Last-Modified", ""))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _transfer_error(url: str, part: Path, error: Exception) -> Exception:
    """An error of the network in a user's words; one of the disk as it is."""
    host = urllib.parse.urlsplit(url).hostname or url
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(error, urllib.error.HTTPError):
        return FetchError(f"{url}: the server answered {error.code} {error.reason}")
    kept = part.stat().st_size if part.exists() else 0
    rest = f"; {kept} bytes are kept, run it again to go on" if kept else ""
    if isinstance(cause, ssl.SSLError):
        return FetchError(f"{url}: no secure connection to {host} ({cause.reason or cause})")
    if isinstance(error, urllib.error.URLError):
        return OfflineError(f"{host} cannot be reached ({_reason(cause)}){rest}")
    if isinstance(error, TimeoutError):
        return OfflineError(f"{host} does not answer{rest}")
    if isinstance(error, ConnectionError | http.client.HTTPException):
        return FetchError(f"{url}: the connection broke{rest}")
    return error


def _reason(cause: object) -> str:
    return str(getattr(cause, "strerror", None) or cause)
