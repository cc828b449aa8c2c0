"""A file for HDF5 to write to that never fails it."""

from __future__ import annotations

import os
from pathlib import Path


class Disk:
    """A new file with what h5py's `fileobj` driver asks for.

    HDF5 writes chunks late, while objects are being deleted, where h5py can only print an error,
    and it crashes a process that leaves a file which could not be flushed. So an error of the
    system is kept in `error` for the caller to look at, and what the disk did not take is held in
    memory, so that HDF5 can close in peace. Raises OSError if the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115 - closed by close()
        self._position = 0
        self._size = 0
        self._refused: list[tuple[int, bytes]] = []

    def sync(self) -> None:
        """Wait until the system has everything on the disk."""
        if self.error is None:
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                self.error = error

    def close(self) -> None:
        """Nothing can be written or read any more. Closing again does nothing."""
        try:
            self._file.close()
        except OSError as error:  # a network's disk may say only now that it is full
            self.error = error

    # --- for HDF5 --------------------------------------------------------------------------

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        at = self._position
        self._position += len(view)
        self._size = max(self._size, self._position)
        written = 0
        if self.error is None:
            try:
                self._file.seek(at)
                while written < len(view):
                    written += self._file.write(view[written:]) or 0
            except OSError as error:
                self.error = error
        if self.error is not None:
            self._refused.append((at + written, bytes(view[written:])))
        return len(view)

    def read(self, size: int) -> bytes:
        buffer = bytearray(size)
        return bytes(buffer[: self.readinto(buffer)])

    def readinto(self, buffer: bytearray | memoryview) -> int:
        view = memoryview(buffer).cast("B")
        at = self._position
        count = max(0, min(len(view), self._size - at))
        self._file.seek(at)
        got = self._file.readinto(view[:count]) or 0
        view[got:count] = bytes(count - got)
        for start, data in self._refused:
            low, high = max(at, start), min(at + count, start + len(data))
            if low < high:
                view[low - at : high - at] = data[low - start : high - start]
        self._position = at + count
        return count

    def truncate(self, size: int | None = None) -> int:
        self._size = self._position if size is None else size
        if self.error is None:
            try:
                self._file.truncate(self._size)
            except OSError as error:
                self.error = error
        return self._size

    def flush(self) -> None:
        """Nothing waits here."""
