"""Fetching: whole or absent, gone on with, checked, and told in words when it cannot be."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcsim.data.fetch import fetch, file_sha256
from dcsim.errors import ChecksumError, FetchError, OfflineError
from tests.data.server import Shelf, serving

CONTENT = b"TIMESTAMP,ContextTokens,GeneratedTokens\n" + bytes(range(256)) * 4000


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with serving(CONTENT) as shelf:
        yield shelf


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_with_its_checksum(shelf: Shelf, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    path = tmp_path / "new/folder/trace.csv"
    got = fetch(shelf.url, path, progress=lambda *at: told.append(at))
    assert path.read_bytes() == CONTENT
    assert got.sha256 == hashlib.sha256(CONTENT).hexdigest() == file_sha256(path)
    assert (got.size, got.resumed_at) == (len(CONTENT), 0)
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert names(path.parent) == ["trace.csv"]


def test_a_broken_fetch_is_gone_on_with(shelf: Shelf, tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    shelf.break_after = 300_000
    with pytest.raises(FetchError, match="broke; 300000 bytes are kept, run it again"):
        fetch(shelf.url, path)
    assert not path.exists()
    shelf.break_after = None
    got = fetch(shelf.url, path)
    assert got.resumed_at == 300_000
    assert shelf.asked[-1]["range"] == "bytes=300000-"
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ["trace.csv"]


@pytest.mark.parametrize("how", ["changed", "no ranges", "no tag"])
def test_what_may_be_another_file_begins_anew(shelf: Shelf, tmp_path: Path, how: str) -> None:
    path = tmp_path / "trace.csv"
    shelf.break_after, shelf.tags = 1000, how != "no tag"
    with pytest.raises(FetchError):
        fetch(shelf.url, path)
    shelf.break_after = None
    shelf.ranges = how != "no ranges"
    if how == "changed":
        shelf.content = CONTENT[::-1]
    got = fetch(shelf.url, path)
    assert got.resumed_at == 0
    assert path.read_bytes() == shelf.content


def test_wrong_content_is_thrown_away_and_the_old_file_stays(shelf: Shelf, tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_bytes(b"old")
    with pytest.raises(ChecksumError, match="not 0000"):
        fetch(shelf.url, path, sha256="0" * 64)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["trace.csv"]


def test_right_content_is_taken(shelf: Shelf, tmp_path: Path) -> None:
    wanted = hashlib.sha256(CONTENT).hexdigest().upper()
    assert fetch(shelf.url, tmp_path / "t", sha256=wanted).size == len(CONTENT)


def test_a_server_without_the_file(shelf: Shelf, tmp_path: Path) -> None:
    shelf.status = 404
    with pytest.raises(FetchError, match="answered 404"):
        fetch(shelf.url, tmp_path / "t")
    assert names(tmp_path) == []


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(OfflineError, match=r"127\.0\.0\.1 cannot be reached"):
        fetch(f"http://127.0.0.1:{free_port()}/t", tmp_path / "t")
    with pytest.raises(OfflineError, match="cannot be reached"):
        fetch("http://no-such-host.invalid/t", tmp_path / "t")


def test_a_server_that_says_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/t"
        with pytest.raises(OfflineError):
            fetch(url, tmp_path / "t", timeout_s=0.2)


def test_only_the_web(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="not an http"):
        fetch((tmp_path / "x").as_uri(), tmp_path / "t")
