"""The page of fidelity figures: its marks, and that its pictures are there."""

from __future__ import annotations

import re

from benchmarks.power_fidelity import DOCS, FIGURES, PAGE, head, put, row_of


def test_tables_go_between_their_marks() -> None:
    page = "before\n<!-- a -->\nold\n<!-- end a -->\nafter\n"
    found = put(page, "a", ["| x |", "| --- |"])
    assert found == "before\n<!-- a -->\n| x |\n| --- |\n<!-- end a -->\nafter\n"
    assert put(found, "a", ["| x |", "| --- |"]) == found


def test_a_row_has_a_cell_for_every_title() -> None:
    titles, _ = head("run", "model", "work from")
    figures = {name: 1.0 for name, _, _ in FIGURES} | {"acf_r2": float("nan")}
    row = row_of(("r", "m", "engine"), figures)
    assert row.count("|") == titles.count("|")
    assert " - " in row  # a figure that does not exist


def test_the_page_shows_pictures_that_exist() -> None:
    shown = re.findall(r"!\[[^]]*\]\((img/[^)]+)\)", PAGE.read_text(encoding="utf-8"))
    assert shown
    for name in shown:
        picture = DOCS / name
        assert picture.is_file(), name
        assert picture.stat().st_size < 150_000
    assert set(shown) == {f"img/{file.name}" for file in (DOCS / "img").glob("power-*.png")}
