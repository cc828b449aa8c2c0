"""Load and evidence on the terminal and the page."""

from __future__ import annotations

import io

from rich.console import Console

from dcsim.engine import simulate
from dcsim.report.page.parts import badge
from dcsim.report.page.run import run_page
from dcsim.report.terminal import render
from dcsim.results import Results
from tests.engine.sites import site


def printed(results: Results) -> str:
    console = Console(file=io.StringIO(), width=400)
    render(results.summary, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_load_and_evidence_stand_beside_the_watts() -> None:
    with simulate(site(power="{model: board-limit}", duration="20 s")) as results:
        text = printed(results)
        page = run_page(results)
        row = results.summary["serving"][0]
    assert f"{row['running_mean']:.1f} requests running a replica" in text
    assert f"{100 * row['share_of_capacity']:.0f} % of the" in text
    assert "TTFT p95 2 s, TPOT 100 ms (default)" in text
    assert "of 256" in text or "at most 256" in text
    # At board limits 8 x 400 W of the data sheet, and the constant 1 kW, for each of 8 servers.
    assert "Watts: 76 % extrapolated, 24 % assumed." in text
    assert "GPUs 25.6 kW (76.2 %, extrapolated)" in text
    assert "CPUs, fans and conversion 8.00 kW (23.8 %, assumed" in text
    assert "or a fitted chassis" not in text
    assert "How busy it is" in page
    assert ">76 % extrapolated, 24 % assumed</span>" in page
    assert "Of what it can serve" in page


def test_autoscalers_tell_what_they_did() -> None:
    summary = {
        "simulated_s": 7200.0,
        "serving": [{"group": "a", "replicas": 16}],
        "autoscale": [
            {"group": "a", "started": 12, "stopped": 9, "refused": 0, "mean_on": 5.5, "most_on": 12}
        ],
    }
    from dcsim.report.load_lines import autoscale_lines

    (line,) = autoscale_lines(summary)
    # 16 - 5.5 replicas off in the mean, over two hours.
    assert "12 replicas started, 9 stopped; 5.5 on in the mean, 12 at most of 16" in line
    assert "21 replica-hours off" in line


def test_a_badge_is_framed_as_its_weakest_part() -> None:
    assert 'class="badge assumed"' in badge("58 % fitted, 42 % assumed")
    assert ">58 % fitted, 42 % assumed<" in badge("58 % fitted, 42 % assumed")
    assert 'class="badge fitted"' in badge("fitted")
    assert 'class="badge unknown"' in badge("heard")


def test_parts_are_told_where_there_are_several() -> None:
    latency = {
        "ttft_s": {"p50": 0.1, "p95": 0.2, "p99": 0.3},
        "tpot_s": {"p50": 0.02, "p95": 0.03, "p99": 0.04},
    }

    def row(name: str, completed: int, **more: float) -> dict[str, object]:
        base = {"name": name, "arrived": 10, "completed": completed, "generated_tokens": 2000}
        return {**base, "latency": latency, **more}

    from dcsim.report.load_lines import breakdown_lines

    groups = [row("a", 9, energy_wh=4.0, wh_per_1000_tokens=2.0), row("b", 3)]
    same = [row("x", 9), row("y", 3)]
    lines = list(breakdown_lines({"groups": groups, "streams": same, "tenants": [row("t", 12)]}))
    assert len(lines) == 2  # the streams part the requests as the groups do
    assert lines[0].startswith(
        "Servers a: 9 of 10 requests, 2,000 tokens generated, 4 Wh (2 Wh per"
    )
    assert "first token p50 / p95 100 ms / 200 ms, per token 20 ms / 30 ms" in lines[1]
