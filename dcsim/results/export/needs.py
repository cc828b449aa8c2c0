"""What an export needs: libraries that are extras, and places to write to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcsim.errors import ExportError
from dcsim.files import atomic_path, partial_path


def whole_steps(every_s: float | None, step_s: float) -> None:
    """Raises ExportError for means over less than what was recorded."""
    if every_s is not None and every_s < step_s * (1 - 1e-9):
        raise ExportError(f"loads are recorded every {step_s:g} s: no means over {every_s:g} s")


@contextmanager
def whole_folder(path: Path, force: bool) -> Iterator[Path]:
    """A temporary folder to write into, which becomes `path` when the block ends well.

    With `force` a folder that is there gives way, but only after all has been written. Raises
    ExportError where something is in the way, OSError where nothing can be written.
    """
    _clear_way(path, force)
    part = partial_path(path)
    part.mkdir()
    try:
        yield part
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        part.replace(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def whole_file(path: Path, force: bool) -> Iterator[Path]:
    """As `whole_folder`, for one file."""
    _clear_way(path, force)
    with atomic_path(path) as part:
        yield part


def _clear_way(path: Path, force: bool) -> None:
    if not path.parent.is_dir():
        raise ExportError(f"there is no folder {path.parent}")
    if path.exists() and not (path.is_file() or path.is_dir()):  # a device would be removed
        raise ExportError(f"{path} is no plain file")
    if path.exists() and not force:
        raise ExportError(f"{path} is there already; --force replaces it")
