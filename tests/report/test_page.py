"""The page of a run: what is in the file, packed and read back; nothing fetched, nothing run."""

from __future__ import annotations

import base64
import gzip
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dcsim.report.page import run_page
from dcsim.report.page.html import embedded
from dcsim.report.page.pack import LEVELS, Packed, Packer
from dcsim.report.page.series import gather, levels
from dcsim.report.page.trust import weakest
from dcsim.report.traffic import traffic
from dcsim.results import Results
from dcsim.results.goodput import TenantSlo
from dcsim.results.recorder import NodeTable
from tests.results.made import NODES, loads, record

EVIL = "</script><script>alert('x')</script>"


def unpack(text: str, packed: Packed, count: int, total: int) -> np.ndarray:
    """As the page's script does it, in its own words."""
    raw = np.frombuffer(gzip.decompress(base64.b64decode(text)), dtype=np.uint8).astype(int)
    words = raw[packed.at : packed.at + count] + 256 * raw[total:][packed.at : packed.at + count]
    code, codes = 0, []
    for word in words.tolist():
        code = (code + ((word >> 1) ^ -(word & 1))) % 65536
        codes.append(code)
    found = np.array(codes, dtype=float)
    return np.where(found == 65535, np.nan, packed.low + packed.scale * found)


@given(
    st.lists(
        arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e7, 1e7, width=32)),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_series_come_back_within_half_a_level(series: list[np.ndarray], hole: bool) -> None:
    if hole:
        series[0][0] = np.nan
    packer = Packer()
    packed = [packer.add(values) for values in series]
    text = packer.text()
    for values, where in zip(series, packed, strict=True):
        back = unpack(text, where, len(values), packer.count)
        assert np.array_equal(np.isnan(back), np.isnan(values))
        known = values[~np.isnan(values)]
        if len(known):
            error = np.abs(back - values)[~np.isnan(values)].max()
            assert error <= 0.51 * (known.max() - known.min()) / LEVELS + 1e-6 * abs(known).max()


def test_every_recorded_interval_is_in_the_page(tmp_path: Path) -> None:
    record(tmp_path / "run.h5", steps=42)  # 10.5 s: the servers' last second is half a one
    with Results.open(tmp_path / "run.h5") as results:
        for level in gather(results, Packer()).levels:
            assert level.points == len(results.load_w(level.kind))


def test_all_series_fit_the_budget_and_keep_their_peaks(tmp_path: Path) -> None:
    record(tmp_path / "run.h5", steps=4000)
    watts = loads(4000)
    with Results.open(tmp_path / "run.h5") as results:
        for budget in (100_000, 9_000, 2_000):
            found = levels(results, results.nodes(), budget)
            used = sum(len(level.names) * level.stats * level.points for level in found)
            assert used <= budget
        assert found[0].factor > 1
        packer = Packer()
        gathered = gather(results, packer, 2_000)
        text = packer.text()
        level = gathered.levels[1]
        assert (level.kind, level.stats) == ("row", 3)
        low, scale = level.low[0], level.scale[0]
        mean, _, above = (
            unpack(
                text, Packed(level.at[0] + k * level.points, low[k], scale[k]), level.points,
                packer.count,
            )
            for k in range(3)
        )  # fmt: skip
        peak = watts[:, 1].max()
        assert (mean + above).max() == pytest.approx(peak, abs=2 * (scale[0] + scale[2]))
        # Around the peak, the steps themselves.
        detail = next(d for d in gathered.details if d["node"] == "row-1")
        where = Packed(detail["at"], detail["low"], detail["scale"])
        steps = unpack(text, where, detail["count"], packer.count)
        first = detail["first"]
        expected = watts[first : first + detail["count"], 1]
        assert np.abs(steps - expected).max() <= detail["scale"]
        curve = gathered.duration_w["site"]
        assert curve[0] == pytest.approx(watts[:, 0].max(), rel=1e-4)
        assert (np.diff(curve) <= 0).all()
        site = gathered.variation["site"][0.25]
        assert site == pytest.approx(watts[:, 0].std() / watts[:, 0].mean(), rel=1e-4)


class Parts(HTMLParser):
    """Ids, what is fetched, and scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.scripts: dict[str, str] = {}
        self._in: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        for name in ("src", "href", "action", "srcset"):
            value = found.get(name)
            if value and not value.startswith(("#", "data:")):
                self.fetched.append(value)
        if tag == "script":
            self._in = found.get("id") or f"script {len(self.scripts)}"
            self.scripts[self._in] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._in = None

    def handle_data(self, data: str) -> None:
        if self._in is not None:
            self.scripts[self._in] += data


def evil_page(path: Path) -> str:
    names = [name.replace("row-1", EVIL) for name in NODES.names]
    nodes = NodeTable(names, NODES.kinds, NODES.rating_w, NODES.parent_index)

    class Flag:
        time_s, kind, node, load_w, limit_w, message = 1.0, EVIL, EVIL, 1.0, math.nan, EVIL

    from tests.results.made import COUNTS, build_summary, recorder, records

    text = json.dumps({"name": EVIL, "description": EVIL})
    made = recorder(path, nodes=nodes, scenario_yaml=text)
    for row in loads(20):
        made.step(row)
    made.requests(records())
    made.event(Flag())
    row = {"configuration": EVIL, "evidence": EVIL, "source": EVIL}
    summary = build_summary(
        made, counts=COUNTS, tokens={"prompt": 40, "cached": 0, "generated": 16}, preemptions=0,
        power_model=[{"name": EVIL, "pack": None, "provenance": [row]}], gpu_state_s={EVIL: 1.0},
    )  # fmt: skip
    summary["tenants"] = [
        {"name": EVIL, "slo": {"ttft_s": 1.0, "tpot_s": None}, "arrived": 1, "completed": 1,
         "within_slo": 1, "slo_attainment": 1.0, "goodput_per_s": 0.1}
    ]  # fmt: skip
    made.finish(summary)
    with Results.open(path) as results:
        return run_page(results)


def test_names_are_text_wherever_they_stand(tmp_path: Path) -> None:
    text = evil_page(tmp_path / "evil.h5")
    assert "<script>alert" not in text
    parts = Parts()
    parts.feed(text)
    assert len(parts.scripts) == 4
    model = json.loads(parts.scripts["model"])
    assert model["nodes"][1]["name"] == EVIL
    assert model["events"]["message"] == [EVIL]
    assert model["events"]["limit_w"] == [None]  # unknown is not 0


def test_nothing_is_fetched_and_ids_are_unique(tmp_path: Path) -> None:
    record(tmp_path / "run.h5")
    with Results.open(tmp_path / "run.h5") as results:
        text = run_page(results)
        assert run_page(results) == text  # the same file gives the same page
    parts = Parts()
    parts.feed(text)
    assert parts.fetched == []
    assert len(set(parts.ids)) == len(parts.ids)
    assert not re.search(r"@import|url\(", text.split("</style>")[0].split("<style>")[1])
    links = set(re.findall(r'href="#([a-z]+)"', text))
    assert links <= set(parts.ids)
    assert len(text) < 4e6
    plain = gzip.decompress(base64.b64decode(parts.scripts["plotly"])).decode()
    assert "Plotly" in plain[:20000] or "plotly.js" in plain[:500]


def test_unknown_figures_are_dashes(tmp_path: Path) -> None:
    record(tmp_path / "run.h5", keep_requests=False)
    with Results.open(tmp_path / "run.h5") as results:
        results.summary["latency"]["ttft_s"] = {"p50": None, "p95": None, "p99": None}
        text = run_page(results)
    assert "nan" not in text.split("<script")[0]
    assert '<span class="value">-</span>' in text
    parts = Parts()
    parts.feed(text)
    assert "traffic" not in json.loads(parts.scripts["model"])["charts"]
    assert "unknown" in text  # no evidence is said to be none


def test_data_cannot_leave_its_element() -> None:
    text = embedded({"a": "</script>\u2028<!--"})
    assert "<" not in text and "\u2028" not in text
    assert json.loads(text) == {"a": "</script>\u2028<!--"}
    with pytest.raises(ValueError):
        embedded({"a": float("nan")})


def test_evidence_is_as_weak_as_its_weakest_part() -> None:
    assert weakest(["measured", "fitted"]) == "fitted"
    assert weakest(["fitted", "extrapolated", "assumed"]) == "assumed"
    assert weakest([]) == "unknown"
    assert weakest(["measured", "heard"]) == "unknown"


class Requests:
    """Requests as a results file gives them, in two blocks."""

    def __init__(self, duration_s: float, columns: dict[str, np.ndarray]) -> None:
        self.duration_s = duration_s
        self._columns = columns

    def request_blocks(self, names: tuple[str, ...]) -> Any:
        half = len(self._columns["arrival_s"]) // 2
        for part in (slice(0, half), slice(half, None)):
            yield {name: self._columns[name][part] for name in names}


def test_traffic_is_counted_by_arrival_and_percentiles_are_within_half_a_percent() -> None:
    draw = np.random.default_rng(0)
    count = 20_000
    arrival_s = np.sort(draw.uniform(0, 900, count))
    ttft_s = draw.lognormal(-1.5, 0.7, count)
    tokens = draw.integers(2, 400, count)
    tpot_s = draw.lognormal(-3.5, 0.3, count)
    columns = {
        "arrival_s": arrival_s,
        "ttft_s": ttft_s,
        "end_s": arrival_s + ttft_s + tpot_s * (tokens - 1),
        "generated_tokens": tokens,
        "status": draw.choice([0, 0, 0, 1, 2, 3], count),
        "tenant": draw.integers(0, 2, count),
    }
    slos = [TenantSlo("a", ttft_s=0.3), TenantSlo("b")]
    found = traffic(Requests(900.0, columns), slos)  # type: ignore[arg-type]
    assert found is not None
    assert found.width_s == 2.0
    done = columns["status"] == 0
    good = done & ((columns["tenant"] == 1) | (ttft_s <= 0.3))
    assert sum(found.arrived_per_s) * 2.0 == pytest.approx(count, rel=1e-4)
    assert sum(found.good_per_s) * 2.0 == pytest.approx(good.sum(), rel=1e-4)
    lost = np.isin(columns["status"], (1, 2, 5)).sum()
    assert sum(found.lost_per_s) * 2.0 == pytest.approx(lost, rel=1e-4)
    one = done & (arrival_s >= 100) & (arrival_s < 102)
    # The percentile of a few values is one of them.
    for name, values in (("ttft_s", ttft_s), ("tpot_s", tpot_s)):
        exact = np.percentile(values[one], 50, method="inverted_cdf")
        assert getattr(found, name)[50][50] == pytest.approx(exact, rel=0.006)
