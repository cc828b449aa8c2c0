"""What a scenario may say of traffic, and what is told when it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dcsim.scenario import loads
from dcsim.scenario.dump import dump
from dcsim.scenario.models import Stream
from tests.scenario.sample import GOOD, problems


def text(arrivals: dict[str, Any] | None = None, **keys: Any) -> str:
    """The sample with its stream changed; None takes a key away."""
    data = yaml.safe_load(GOOD)
    stream = data["workload"][0]
    if arrivals is not None:
        stream["arrivals"] = arrivals
    stream.update(keys)
    data["workload"][0] = {key: value for key, value in stream.items() if value is not None}
    return yaml.safe_dump(data, sort_keys=False)


def stream(arrivals: dict[str, Any] | None = None, **keys: Any) -> Stream:
    return loads(text(arrivals, **keys)).workload[0]


GAMMA = {"kind": "gamma", "rate": "2 req/s", "burstiness": 0.5}
DIURNAL = {"kind": "diurnal", "mean_rate": "2 req/s"}
MMPP_STATES = [
    {"rate": "0 req/s", "mean_dwell": "1 min"},
    {"rate": "9 req/s", "mean_dwell": "10 s"},
]
FIT = {"kind": "fit", "name": "sharegpt"}
TALK = {
    "turns": {"kind": "geometric", "mean": 4},
    "think_time": {"kind": "exponential", "mean": "30 s"},
}


@pytest.mark.parametrize(
    "arrivals",
    [
        GAMMA,
        {"kind": "gamma", "rate": "2 req/s", "cv": 3},
        {"kind": "weibull", "rate": "2 req/s", "shape": 0.5},
        {"kind": "mmpp", "states": MMPP_STATES},
        {**DIURNAL, "hours": [1] * 24, "weekdays": [1, 1, 1, 1, 1, 0.5, 0.5], "start_day": "sat"},
        {"kind": "clients", "name": "servegen-m-small", "rate": "5 req/s", "clients": 7},
        {
            **GAMMA,
            "spikes": [{"at": "1 min", "duration": "30 s", "factor": 3, "ramp_up": "5 s"}],
            "ramps": [{"at": "0 s", "duration": "5 min", "factor": 2}],
            "growth": {"table": [{"at": "0 s", "factor": 1}, {"at": "1 h", "factor": 2}]},
        },
        {**GAMMA, "growth": {"per_month": 1.1}},
    ],
)
def test_what_is_written_reads_back(arrivals: dict[str, Any]) -> None:
    scenario = loads(text(arrivals, system_prompt=700, sessions=TALK))
    assert loads(dump(scenario)) == scenario
    assert scenario.workload[0].arrivals.kind == arrivals["kind"]


@pytest.mark.parametrize(
    ("arrivals", "path", "message"),
    [
        ({"kind": "gamma", "rate": "2 req/s"}, "", "give one of `burstiness` and `cv`"),
        ({**GAMMA, "cv": 2}, "", "give one of `burstiness` and `cv`"),
        ({**GAMMA, "burstiness": 0}, ".burstiness", "must be greater than or equal to 0.001"),
        ({"kind": "weibull", "rate": "2 req/s"}, "", "give one of `shape` and `cv`"),
        ({"kind": "weibull", "rate": "2 req/s", "shape": 0.01}, ".shape", "0.1"),
        ({"kind": "mmpp", "states": MMPP_STATES[:1]}, "", "`states` must be two or more"),
        ({"kind": "mmpp", "states": [MMPP_STATES[0]] * 2}, "", "a rate above 0"),
        ({"kind": "mmpp", "states": [MMPP_STATES[1], {"rate": "-1 req/s", "mean_dwell": "1 s"}]},
         ".states.1.rate", "must be 0 or more"),
        ({**DIURNAL, "hours": [1] * 23}, "", "`hours` must be 24 factors"),
        ({**DIURNAL, "hours": [0] * 24}, "", "above 0"),
        ({**DIURNAL, "hours": [1] * 24, "amplitude": 0.5}, "", "instead of `amplitude`"),
        ({**DIURNAL, "weekdays": [1] * 5}, "", "`weekdays` must be 7 factors"),
        ({**DIURNAL, "weekdays": [1] * 7, "period": "1 h"}, "", "need a `period` of 24 h"),
        ({**DIURNAL, "start_day": "monday"}, ".start_day", "expected mon, tue"),
        ({**GAMMA, "growth": {}}, ".growth", "give one of `per_day`, `per_month` and `table`"),
        ({**GAMMA, "growth": {"per_day": 2, "per_month": 2}}, ".growth", "give one of"),
        ({**GAMMA, "growth": {"table": [{"at": "1 h", "factor": 1}, {"at": "1 h", "factor": 2}]}},
         ".growth", "the times of `table` must rise"),
        ({**GAMMA, "spikes": [{"at": "1 h", "factor": 2}]}, ".spikes.0.duration", "required"),
        ({**GAMMA, "spikes": [{"at": "1 h", "duration": "1 s", "factor": -2}]},
         ".spikes.0.factor", "greater than or equal to 0"),
        ({**GAMMA, "ramps": [{"at": 5, "duration": "1 s", "factor": 2}]}, ".ramps.0.at", "unit"),
        ({"kind": "clients", "name": "servegen-small"}, ".name", "no shipped population"),
        ({"kind": "servegen", "folder": "nowhere"}, ".folder", "nowhere does not exist"),
    ],
)  # fmt: skip
def test_wrong_arrivals(arrivals: dict[str, Any], path: str, message: str) -> None:
    (problem,) = problems(text(arrivals))
    assert problem.path == f"workload.0.arrivals{path}"
    assert message in problem.message
    assert problem.line is not None


@pytest.mark.parametrize(
    ("keys", "path", "message"),
    [
        ({"format": "azure"}, ".format", "expected azure-2023"),
        ({"scaling": "stretch"}, ".scaling", "expected repeat or compress"),
        ({"from": "2 h", "until": "1 h"}, "", "`until` must be later than `from`"),
        ({"failed": "keep"}, "", "`failed` and `only_model` are for `burstgpt`"),
        (
            {"only_model": "GPT-4", "format": "vllm"},
            "",
            "`failed` and `only_model` are for `burstgpt`",
        ),
        ({"sample": 0}, ".sample", "greater than 0"),
        ({"sample": 1.5}, ".sample", "less than or equal to 1"),
        ({"on_error": "ignore"}, ".on_error", "expected stop or skip"),
    ],
)
def test_wrong_replays(tmp_path: Path, keys: dict[str, Any], path: str, message: str) -> None:
    file = tmp_path / "trace.csv"
    file.touch()
    (problem,) = problems(text({"kind": "replay", "file": str(file), **keys}, tokens=None))
    assert problem.path == f"workload.0.arrivals{path}"
    assert message in problem.message


def test_a_replay_brings_its_own_lengths_prompts_and_conversations(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.touch()
    found = problems(text({"kind": "replay", "file": str(file)}, system_prompt=100, sessions=TALK))
    assert {problem.path for problem in found} == {
        f"workload.0.{key}" for key in ("tokens", "system_prompt", "sessions")
    }


@pytest.mark.parametrize(
    ("tokens", "path", "message"),
    [
        ({"kind": "empirical", "file": "no.csv"}, ".file", "does not exist"),
        ({"kind": "mixture", "parts": []}, ".parts", "at least one item"),
        ({"kind": "mixture", "parts": [{"weight": 0, "tokens": FIT}]},
         ".parts.0.weight", "greater than 0"),
        ({"kind": "mixture", "parts": [{"tokens": {"kind": "fit", "name": "sharegtp"}}]},
         ".parts.0.tokens.name", "no shipped fit 'sharegtp'"),
        ({"kind": "mixture", "parts": [{"tokens": {"kind": "mixture", "parts": []}}]},
         ".parts.0.tokens.kind", "expected fit"),
        ({"kind": "fit", "name": "sharegpt", "prompt_min": 5, "prompt_max": 4}, "",
         "a minimum must not exceed"),
        ({"kind": "fit", "name": "sharegpt", "output_max": 0}, ".output_max", "equal to 1"),
    ],
)  # fmt: skip
def test_wrong_tokens(tokens: dict[str, Any], path: str, message: str) -> None:
    (problem,) = problems(text(tokens=tokens))
    assert problem.path == f"workload.0.tokens{path}"
    assert message in problem.message


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"turns": None}, ".turns", "required"),
        ({"turns": {"kind": "geometric", "mean": 0.5}}, ".turns.mean", "equal to 1"),
        ({"turns": {"kind": "weights", "weights": [0, 0]}}, ".turns", "above 0"),
        ({"turns": {"kind": "fixed", "count": 0}}, ".turns.count", "equal to 1"),
        ({"think_time": {"kind": "fixed", "time": 3}}, ".think_time.time", "unit"),
        ({"think_time": {"kind": "uniform"}}, ".think_time.kind", "expected fixed"),
        ({"share": 0}, ".share", "greater than 0"),
        ({"max_context": 1}, ".max_context", "equal to 2"),
    ],
)
def test_wrong_sessions(changes: dict[str, Any], path: str, message: str) -> None:
    sessions = {key: value for key, value in {**TALK, **changes}.items() if value is not None}
    (problem,) = problems(text(sessions=sessions))
    assert problem.path == f"workload.0.sessions{path}"
    assert message in problem.message


def test_all_problems_of_traffic_at_once() -> None:
    wrong = {**GAMMA, "cv": 2, "spikes": [{"at": "1 h", "duration": "x", "factor": 2}]}
    found = problems(text(wrong, sessions={"turns": {}}, tokens={"kind": "mixtur"}))
    assert {problem.path for problem in found} >= {
        "workload.0.arrivals.spikes.0.duration",
        "workload.0.sessions.turns.kind",
        "workload.0.sessions.think_time",
        "workload.0.tokens.kind",
    }


def test_files_of_every_part_start_at_the_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clients").mkdir()
    (tmp_path / "lengths.csv").write_text("prompt,output\n1,1\n")
    monkeypatch.setenv("WHERE", str(tmp_path))
    tokens = {"kind": "mixture", "parts": [
        {"tokens": {"kind": "empirical", "file": "lengths.csv"}},
        {"tokens": {"kind": "empirical", "file": "${WHERE}/lengths.csv"}},
    ]}  # fmt: skip
    scenario = loads(
        text({"kind": "servegen", "folder": "clients"}, tokens=tokens), folder=tmp_path
    )
    found = scenario.workload[0]
    assert found.arrivals.folder == tmp_path / "clients"  # type: ignore[union-attr]
    files = [part.tokens.file for part in found.tokens.parts]  # type: ignore[union-attr]
    assert files == [tmp_path / "lengths.csv"] * 2
    monkeypatch.delenv("WHERE")
    (problem,) = problems(
        text({"kind": "servegen", "folder": "clients"}, tokens=tokens), folder=tmp_path
    )
    assert problem.path == "workload.0.tokens.parts.1.tokens.file"
    assert "WHERE is not set" in problem.message
