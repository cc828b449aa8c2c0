"""Files: text as people keep it (plain or compressed, UTF-8 or UTF-16), and writes that leave a
whole file or none."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import secrets
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TextIO

from dcsim.errors import UnreadableError

_OPENERS: tuple[tuple[bytes, Callable[[Path], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)
"""By the first bytes of a file, whatever its name."""
_ARCHIVES = (
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -d"),
    (b"PK\x03\x04", "zip", "unzip"),
    (b"7z\xbc\xaf", "7z", "7z x"),
)
"""Those that the standard library does not read as one text, and what unpacks them."""
_BINARY = (
    (b"PAR1", "a Parquet file, not text (traces: `format: parquet`)"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, not text (results of dcsim: `format: dcsim`)"),
)
_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


class _Checked(io.RawIOBase):
    """A decompressing stream whose damage is an UnreadableError."""

    def __init__(self, inner: IO[bytes], path: Path) -> None:
        self._inner, self._path = inner, path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._inner.read(len(buffer))
        except (*_DAMAGE, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # the disk's, not bz2's
                raise
            words = f"its compression is damaged or cut short ({error})"
            raise UnreadableError(0, words, str(self._path)) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, decompressed where it is gzip, bzip2 or xz.

    Raises OSError; UnreadableError, which is one, for an archive or a format that is no text.
    """
    with path.open("rb") as file:
        start = file.read(8)
    for magic, kind, tool in _ARCHIVES:
        if start.startswith(magic):
            raise UnreadableError(
                0, f"it is compressed ({kind}): unpack it first ({tool})", str(path)
            )
    for magic, kind in _BINARY:
        if start.startswith(magic):
            raise UnreadableError(0, f"it is {kind}", str(path))
    for magic, opener in _OPENERS:
        if start.startswith(magic):
            return io.BufferedReader(_Checked(opener(path), path), 1 << 16)
    return path.open("rb")


def open_text(path: Path, newline: str | None = None, errors: str = "strict") -> TextIO:
    """The file as text, decompressed; UTF-16 where it begins with that mark (Windows consoles
    redirect to it), else UTF-8. Raises OSError as `open_bytes` does."""
    with open_bytes(path) as file:
        encoding = encoding_of(file.read(2))
    return io.TextIOWrapper(open_bytes(path), encoding=encoding, errors=errors, newline=newline)


def read_text(path: Path, errors: str = "strict") -> str:
    """All of it. Raises OSError, UnicodeDecodeError."""
    with open_text(path, errors=errors) as file:
        return file.read()


def encoding_of(start: bytes) -> str:
    """Of a text that begins so."""
    return "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def partial_path(path: Path) -> Path:
    """Return a temporary name beside `path`: hidden, and different at each call.

    Files that are written at once by several processes or hosts do not meet under it.
    """
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(3)}.part")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; it becomes `path` when the block ends without an error.

    Readers see the old content or all of the new, after a crash as well. What is not a regular
    file, such as /dev/stdout, is written directly; a symbolic link keeps pointing to its target.

    Parameters
    ----------
    path
        The file to create or replace.

    Yields
    ------
    Path
        Where to write.

    Raises
    ------
    OSError
        With the name of `path`, where it cannot be written.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        yield path
        return
    part = partial_path(path)
    try:
        yield part
        with part.open("r+b") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if error.filename != str(part):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        part.unlink(missing_ok=True)


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write a whole file or leave what was there.

    Parameters
    ----------
    path
        The file to create or replace.
    content
        Bytes, or text that is written as UTF-8.

    Raises
    ------
    OSError
        With the name of `path`, where it cannot be written.
    """
    with atomic_path(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def cache_folder() -> Path:
    """Return dcsim's folder in the user's cache: under XDG_CACHE_HOME, else ~/.cache.

    Raises
    ------
    RuntimeError
        Where the user has no home folder.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification has relative paths ignored.
    base = Path(named) if os.path.isabs(named) else Path.home() / ".cache"
    return base / "dcsim"
