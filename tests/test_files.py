"""Whole files or none."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from dcsim.files import atomic_path, atomic_write, partial_path

PACKAGE = Path(__file__).parents[1] / "dcsim"


def test_a_file_is_replaced_by_the_whole_of_another(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    atomic_write(path, "é\n")
    assert path.read_bytes() == b"\xc3\xa9\n"
    with atomic_path(path) as part:
        part.write_text("half")
        assert path.read_text(encoding="utf-8") == "é\n"
        part.write_text("whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_breaks_off_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_path(path) as part:
        part.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_names_the_file_that_the_user_knows(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        atomic_write(tmp_path / "none" / "a.txt", "text")
    assert caught.value.filename == str(tmp_path / "none" / "a.txt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as caught_too:
        atomic_write(tmp_path / "folder", "text")
    assert caught_too.value.filename == str(tmp_path / "folder")


def test_a_device_and_a_link_stay_what_they_are(tmp_path: Path) -> None:
    atomic_write(Path(os.devnull), "text")
    assert not Path(os.devnull).is_file()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    atomic_write(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "text"


def test_partial_names_are_hidden_and_never_meet() -> None:
    names = {partial_path(Path("a/b.h5")).name for _ in range(50)}
    assert len(names) == 50
    assert all(re.fullmatch(r"\.b\.h5\..+\.part", name) for name in names)


def test_temporary_names_are_made_in_one_place() -> None:
    """Besides a download's: it keeps its name, so that the next try can resume it."""
    places = {
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        if re.search(r"\.part(ial)?\b[\"'}]|mkstemp|os\.replace", file.read_text(encoding="utf-8"))
    }
    assert places - {"studies/folder.py"} == {"files.py", "data/fetch.py"}
