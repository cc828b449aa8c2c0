"""A study's folder: study.json and the tables. docs/studies/format.md is the contract."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from dcsim.files import atomic_path, atomic_write
from dcsim.results.versions import versions
from dcsim.scenario.dump import dump
from dcsim.scenario.models import Scenario
from dcsim.studies.answer import Answer, Table
from dcsim.studies.jobs import code_hash

FORMAT = "dcsim-study"
FORMAT_VERSION = 1
NAME = "study.json"


class StudyFolder:
    """The folder of a study's answer. Every file takes its name when it is whole."""

    def __init__(
        self,
        folder: Path,
        study: str,
        scenario: Scenario,
        scenario_file: str,
        runs: Path | None = None,
    ) -> None:
        """Raises FileExistsError for a folder that holds something else, OSError where it cannot
        be made."""
        if folder.exists() and not folder.is_dir():
            raise FileExistsError(f"{folder} is a file: name a folder")
        if folder.is_dir() and any(folder.iterdir()) and not _is_study(folder):
            raise FileExistsError(f"{folder} holds something else than a study: name another")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.runs = folder / "runs" if runs is None else runs
        self._head = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "study": study,
            "scenario": {
                "file": scenario_file,
                "name": scenario.name,
                "yaml": dump(scenario),
            },
            "versions": {**versions(), "code": code_hash()},
        }
        self.status("running")

    def status(self, status: str, error: str | None = None) -> None:
        """Write how the study stands, without an answer."""
        self._write(status, error, None, [], 0)

    def finish(self, answer: Answer, used: int) -> None:
        """Write the tables, then study.json. `used`: different runs that it rests on."""
        (self.folder / "tables").mkdir(exist_ok=True)
        rows = []
        for name, table in answer.tables.items():
            rows.append(_described(name, table, self._table(name, table.frame)))
        with atomic_path(self.folder / "tables.h5") as part:
            write_hdf5(part, answer.tables)
        self._write("done", None, answer, rows, used)

    def _table(self, name: str, frame: pd.DataFrame) -> list[str]:
        files = [f"tables/{name}.csv"]
        atomic_write(self.folder / files[0], frame.to_csv(index=False))
        with suppress(ImportError):  # of the `export` extra
            with atomic_path(self.folder / f"tables/{name}.parquet") as part:
                frame.to_parquet(part, index=False, engine="pyarrow")
            files.append(f"tables/{name}.parquet")
        return [*files, "tables.h5"]

    def _write(
        self,
        status: str,
        error: str | None,
        answer: Answer | None,
        tables: list[dict[str, Any]],
        used: int,
    ) -> None:
        content = {
            **self._head,
            "status": status,
            "error": error,
            "inputs": {} if answer is None else answer.inputs,
            "headline": [] if answer is None else list(answer.headline),
            "reasons": [] if answer is None else list(answer.reasons),
            "uncertainty": [] if answer is None else list(answer.uncertainty),
            "figures": {} if answer is None else answer.figures,
            "cards": [] if answer is None else [vars(card) for card in answer.cards],
            "evidence": [] if answer is None else list(answer.evidence),
            "tables": tables,
            "plots": [] if answer is None else [vars(plot) for plot in answer.plots],
            "runs": {
                "folder": os.path.relpath(self.runs, self.folder),
                "used": used,
            },
        }
        text = json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False)
        atomic_write(self.folder / NAME, text + "\n")


def _is_study(folder: Path) -> bool:
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return isinstance(content, dict) and content.get("format") == FORMAT
    except (OSError, ValueError):
        # Killed before its first word: it has made nothing but the folder of runs.
        left = (path.name for path in folder.iterdir() if not path.match(f".{NAME}.*.part"))
        return set(left) <= {"runs"}


def _described(name: str, table: Table, files: list[str]) -> dict[str, Any]:
    frame = table.frame
    return {
        "name": name,
        "title": table.title,
        "rows": len(frame),
        "columns": [
            {"name": column, "dtype": str(dtype), "about": table.columns.get(str(column), "")}
            for column, dtype in frame.dtypes.items()
        ],
        "shown": list(table.shown),
        "files": files,
    }


def write_hdf5(path: Path, tables: Mapping[str, Table]) -> None:
    """Every table a group, every column a dataset; the order of columns is an attribute."""
    with h5py.File(path, "w") as file:
        for name, table in tables.items():
            group = file.create_group(name)
            group.attrs["title"] = table.title
            group.attrs["columns"] = [str(column) for column in table.frame.columns]
            for column, values in table.frame.items():
                if pd.api.types.is_numeric_dtype(values.dtype):
                    data = group.create_dataset(str(column), data=values.to_numpy())
                else:
                    texts = ["" if pd.isna(value) else str(value) for value in values]
                    data = group.create_dataset(
                        str(column), data=texts, dtype=h5py.string_dtype(), shape=(len(texts),)
                    )
                data.attrs["about"] = table.columns.get(str(column), "")


def plain(value: Any) -> Any:
    """As JSON knows it: numpy's numbers as Python's, what is no finite number as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
