"""A broken contract is seen on the page of a run: cards, table, a line in the chart."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from dcsim.report.page import run_page
from dcsim.results import Results
from tests.results.made import record
from tests.studies.test_limits import limit


def page_of(tmp_path: Path, rows: list[dict[str, Any]], start: str | None) -> tuple[str, Any]:
    path = tmp_path / "made.h5"
    summary = {**record(path), "limits": rows, "start": start}
    with Results.open(path, summary=summary) as results:
        text = run_page(results)
    found = re.search(r'id="model">(.*?)</script>', text, flags=re.DOTALL)
    assert found is not None
    return text, json.loads(found[1])


def test_a_broken_contract_is_on_the_page(tmp_path: Path) -> None:
    contract = limit(
        "site", "demand", 1e6, 1.573e6, 900.0, "sliding",
        highest_at_s=19_500.0, over_s=18_870.0, crossings=1, rule="sliding means",
    )  # fmt: skip
    kept = limit("row-1", "rating", 5e3, 4.85e3)
    text, model = page_of(tmp_path, [contract, kept], "2026-12-01 19:00")
    tiles = text[text.index('<dl class="tiles">') : text.index("</dl>")]
    plain = " ".join(re.sub(r"<[^>]+>", " ", tiles).split())
    assert "Highest 15 min demand, site 1.573 MW 157.3 % of 1.000 MW" in plain
    assert "05:25:00 (2026-12-02 00:25:00): NOT kept, above for 5.24 h" in plain
    assert "Farthest over its limit 157.3 % site: 15 min demand" in plain
    assert "Limits not kept 1 of 2" in plain
    assert "no rating; 15 min demand 1 MW" in plain
    assert "no rating given" not in plain
    assert "sliding means" in text
    assert model["nodes"][0]["limits"] == [
        {"limit_w": 1e6, "highest_w": 1.573e6, "text": "15 min demand 1 MW"}
    ]
    assert model["nodes"][1]["limits"] == []
    assert model["start_of_day_s"] == 68400


def test_what_is_kept_or_could_not_be_judged_is_said(tmp_path: Path) -> None:
    unfilled = limit(
        "site", "demand", 9e5, None, 1800.0, "sliding",
        over_s=None, crossings=None, measured_s=1200.0, partial_w=1.57e6,
    )  # fmt: skip
    text, model = page_of(tmp_path, [unfilled, limit("row-1", "rating", 5e3, 4.85e3)], None)
    plain = " ".join(re.sub(r"<[^>]+>", " ", text).split())
    assert "Nearest to its limit 97.0 % row-1: rating" in plain
    assert "the one that was judged was kept; 1 could not be judged" in plain
    assert "no whole window in the 20 min measured, whose mean is 1.57 MW" in plain
    assert model["start_of_day_s"] is None
