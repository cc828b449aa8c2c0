"""docs/workload.md: its table of fits says what the shipped files say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dcsim.workload.tokens import load_fits

PAGE = Path(__file__).parents[2] / "docs" / "workload.md"


def test_table_of_fits() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (.+) \|$", PAGE.read_text(), flags=re.MULTILINE)
    fits = load_fits()
    assert {name for name, _ in rows} == set(fits)
    for name, cells in rows:
        requests, prompt_ks, output_ks, means, explained = cells.split(" | ")
        quality = fits[name].quality
        assert int(requests.replace(",", "")) == fits[name].requests
        assert float(prompt_ks) == pytest.approx(quality["prompt_ks"], abs=6e-4)
        assert float(output_ks) == pytest.approx(quality["output_ks"], abs=6e-4)
        percent = [float(number) for number in re.findall(r"[+-][\d.]+", means)]
        expected = [100 * quality[f"{what}_mean_error"] for what in ("prompt", "output")]
        assert percent == pytest.approx(expected, abs=0.06)
        shares = [float(number) for number in explained.split(", ")]
        expected = [quality[f"explained_by_prompt_{where}"] for where in ("data", "fit")]
        assert shares == pytest.approx(expected, abs=6e-4)
