"""docs/workload.md: its tables of fits say what the shipped files say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dcsim.workload.clients import load_populations
from dcsim.workload.tokens import load_fits

PAGE = Path(__file__).parents[2] / "docs" / "workload.md"


def table_after(head: str) -> list[tuple[str, str]]:
    """Name and other cells of the rows of the table with this head."""
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index(head) :].split("\n\n")[0]
    return re.findall(r"^\| `([\w-]+)` \| (.+) \|$", table, flags=re.MULTILINE)


def test_table_of_populations() -> None:
    rows = table_after("| population |")
    found = load_populations()
    assert {name for name, _ in rows} == set(found)
    for name, cells in rows:
        clients, curve, *dispersions, distance = cells.split(" | ")
        quality = found[name].quality
        assert int(clients.split(",")[0]) == len(found[name].clients)
        assert float(curve.rstrip(" %")) == pytest.approx(100 * quality["curve_error"], abs=0.06)
        for span_s, cell in zip((1, 10, 60, 600), dispersions, strict=True):
            expected = [quality[f"dispersion_{span_s}s_{what}"] for what in ("data", "fit")]
            assert [float(number) for number in cell.split(", ")] == expected
        percent = [float(number) for number in re.findall(r"[\d.]+", distance)]
        expected = [100 * quality[f"departure_600s_{what}"] for what in ("data", "fit")]
        assert percent == pytest.approx(expected, abs=0.06)


def test_table_of_fits() -> None:
    rows = table_after("| fit |")
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
