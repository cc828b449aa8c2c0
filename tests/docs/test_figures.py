"""Tables of figures in the README and the pages: made by a script, and of this version."""

from __future__ import annotations

import re

import pytest

from benchmarks.pages import MADE, MARK, PAGES, filled

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
QUICKEST = "nameplate"
"""The table that is played here; all are by `python -m benchmarks.pages`."""
CLOSE = 0.03
"""Other processors round otherwise; other code, packs or scenarios move figures by more."""


def told() -> dict[str, list[str]]:
    """The tables that stand in the pages, by name."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        for mark in MARK.finditer(page.read_text(encoding="utf-8")):
            found.setdefault(mark[1], []).append(mark[0].partition("\n")[2])
    return found


def test_every_table_is_made_and_every_made_one_told() -> None:
    assert told().keys() == MADE.keys()


def test_the_same_table_is_the_same_everywhere_and_not_empty() -> None:
    for name, copies in told().items():
        assert len(set(copies)) == 1, name
        assert len(copies[0].splitlines()) > 2, name


def test_what_is_told_is_of_this_version() -> None:
    (before,) = set(told()[QUICKEST])
    now = MADE[QUICKEST]()
    assert NUMBER.sub("#", before) == NUMBER.sub("#", now)
    numbers = [
        [float(number.replace(",", "")) for number in NUMBER.findall(text)]
        for text in (before, now)
    ]
    assert numbers[1] == pytest.approx(numbers[0], rel=CLOSE, abs=1), "python -m benchmarks.pages"


def test_a_page_keeps_what_is_not_its_table() -> None:
    page = (
        "# A\n\n<!-- figures: x -->\n| old |\n| --- |\n\nrest\n\n<!-- figures: y -->\n```\nb\n```\n"
    )
    made = filled(page, {"x": "| new |\n", "y": "```\n1\n2\n```\n"})
    assert made == (
        "# A\n\n<!-- figures: x -->\n| new |\n\nrest\n\n<!-- figures: y -->\n```\n1\n2\n```\n"
    )
    assert filled(page, {}) == page
    assert filled(made, {"x": "| new |\n"}) == made
