"""`dcsim data` as a person uses it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from dcsim.data.places import data_folder, recorded
from dcsim.data.traces import TRACES, by_name
from dcsim.errors import DataFolderError
from dcsim.scenario.models import ReplayArrivals
from tests.data.server import Shelf, serving

CONTENT = b"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n"
SUM = hashlib.sha256(CONTENT).hexdigest()
NAME = "azure-2023-code"
runner = CliRunner()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DCSIM_DATA", str(tmp_path))
    return tmp_path / "arrivals"


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with serving(CONTENT) as shelf:
        yield shelf


def test_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DCSIM_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_folder() == tmp_path / "dcsim"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert data_folder() == tmp_path / "me/.cache/dcsim"
    monkeypatch.setenv("DCSIM_DATA", "here")
    assert data_folder() == Path.cwd() / "here"

    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("DCSIM_DATA")
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(DataFolderError, match="set DCSIM_DATA"):
        data_folder()


def test_every_trace_has_a_format_that_replays(folder: Path) -> None:
    formats = ReplayArrivals.model_fields["format"].annotation.__args__  # type: ignore[union-attr]
    assert {trace.format for trace in TRACES} <= set(formats)
    assert len({trace.file for trace in TRACES}) == len(by_name()) == len(TRACES)
    shown = runner.invoke(app, ["data", "list"])
    assert shown.exit_code == 0
    for trace in TRACES:
        assert f"{trace.name} (not fetched)" in shown.output
        assert trace.url in shown.output
        assert trace.licence in shown.output


def test_shipped_scenarios_find_what_is_fetched() -> None:
    wanted = {
        line.rpartition("/")[2].strip()
        for path in Path("scenarios").glob("*.yaml")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "${DCSIM_DATA}/arrivals/" in line and line.strip().startswith("file:")
    }
    assert wanted
    assert wanted <= {trace.file for trace in TRACES}


def test_get_records_and_then_leaves_it(folder: Path, shelf: Shelf) -> None:
    done = runner.invoke(app, ["data", "get", NAME, "--url", shelf.url])
    assert done.exit_code == 0, done.output
    assert SUM in done.output
    assert "not the bytes of the copy" in done.output
    path = folder / "azure_llm_2023_code.csv"
    assert path.read_bytes() == CONTENT
    assert recorded(folder)[path.name]["sha256"] == SUM
    again = runner.invoke(app, ["data", "get", NAME, "--url", shelf.url])
    assert (again.exit_code, len(shelf.asked)) == (0, 1)
    assert "already exists" in again.output
    assert "recorded when it was fetched" in runner.invoke(app, ["data", "list"]).output


def test_a_file_that_changed_is_told(folder: Path, shelf: Shelf) -> None:
    runner.invoke(app, ["data", "get", NAME, "--url", shelf.url])
    (folder / "azure_llm_2023_code.csv").write_bytes(b"tampered")
    done = runner.invoke(app, ["data", "get", NAME, "--url", shelf.url])
    assert done.exit_code == 2
    assert f"the SHA-256 should be {SUM}" in done.stderr
    done = runner.invoke(app, ["data", "get", NAME, "--url", shelf.url, "--again"])
    assert done.exit_code == 0
    assert (folder / "azure_llm_2023_code.csv").read_bytes() == CONTENT


def test_what_was_recorded_is_held_against_a_new_fetch(folder: Path, shelf: Shelf) -> None:
    runner.invoke(app, ["data", "get", NAME, "--url", shelf.url])
    (folder / "azure_llm_2023_code.csv").unlink()
    shelf.content = b"another"
    done = runner.invoke(app, ["data", "get", NAME, "--url", shelf.url])
    assert done.exit_code == 2
    assert "thrown away" in done.stderr
    done = runner.invoke(app, ["data", "get", NAME, "--url", shelf.url, "--again"])
    assert done.exit_code == 0
    assert recorded(folder)["azure_llm_2023_code.csv"]["size"] == "7"


def test_a_checksum_of_ones_own(folder: Path, shelf: Shelf) -> None:
    done = runner.invoke(app, ["data", "get", NAME, "--url", shelf.url, "--sha256", "0" * 64])
    assert done.exit_code == 2
    assert not (folder / "azure_llm_2023_code.csv").exists()
    done = runner.invoke(app, ["data", "get", NAME, "--url", shelf.url, "--sha256", "abc"])
    assert (done.exit_code, done.stderr) == (
        2,
        "--sha256: 'abc' is not 64 hexadecimal digits\n",
    )
    done = runner.invoke(app, ["data", "get", NAME, "--url", shelf.url, "--sha256", SUM])
    assert done.exit_code == 0
    assert "as pinned" in done.stdout


def test_offline(folder: Path) -> None:
    done = runner.invoke(app, ["data", "get", NAME, "--url", "http://no-such-host.invalid/x"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "no-such-host.invalid cannot be reached" in done.stderr
    assert str(folder / "azure_llm_2023_code.csv") in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_name(folder: Path) -> None:
    done = runner.invoke(app, ["data", "get", "burstgtp"])
    assert done.exit_code == 2
    assert "did you mean 'burstgpt'?" in done.stderr


def test_a_folder_that_cannot_be(
    tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("DCSIM_DATA", str(file))
    done = runner.invoke(app, ["data", "get", NAME, "--url", shelf.url])
    assert done.exit_code == 1
    assert str(file) in done.stderr


def test_a_spoilt_record_is_no_record(folder: Path) -> None:
    folder.mkdir()
    for text in ("not json", json.dumps([1]), json.dumps({"a": 1})):
        (folder / "fetched.json").write_text(text)
        assert recorded(folder) == {}
