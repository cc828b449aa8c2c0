"""The notebooks: kept without outputs, and executed by a kernel, cell by cell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs/notebooks").glob("*.ipynb"))
NEEDS = "pip install 'dcsim[test]'"
TRUE_OF = {
    "first-steps": """
assert 0 < limited_at_s < busy.duration_s
after_w = limited.load_w("row", resample="1s")["row"][limited_at_s + 1 :]
assert after_w.mean() < row_w["row"][limited_at_s + 1 :].mean()
assert answer.frame.groupby("workload.chat.arrivals.rate").size().tolist() == [2, 2]
assert len(pd.read_csv("row.csv")) == busy.duration_s
"""
}
"""What must hold once a notebook has run, in its own namespace."""


def each() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@each()
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    for cell in code:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@each()
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    client = pytest.importorskip("nbclient", reason=NEEDS)
    pytest.importorskip("ipykernel", reason=NEEDS)
    nbformat: Any = pytest.importorskip("nbformat", reason=NEEDS)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(TRUE_OF[path.stem]))
    resources = {"metadata": {"path": str(tmp_path)}}
    client.NotebookClient(notebook, timeout=120, resources=resources).execute()
    shown = [
        output["data"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output["output_type"] in ("execute_result", "display_data")
    ]
    assert any("image/png" in data for data in shown)
    assert any("peak of rating" in data.get("text/html", "") for data in shown)
