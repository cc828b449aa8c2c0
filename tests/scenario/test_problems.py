"""Broken files: each problem with its line, its path and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcsim.errors import ScenarioError
from dcsim.scenario import load, loads
from tests.scenario.sample import GOOD, edited, line_of, only, problems


def test_the_sample_is_right() -> None:
    scenario = loads(GOOD)
    assert scenario.duration_s == 600
    assert scenario.facility[2].rating_w == 23e3


# --- form ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        (
            "rating: 100 kW",
            "rating: 100 kg",
            "facility.0.rating",
            "not a quantity such as '600 kW'",
        ),
        ("rating: 100 kW", "rating: 100", "facility.0.rating", "with its unit, such as '600 kW'"),
        ("rating: 100 kW", "rating: -3 kW", "facility.0.rating", "must be above 0"),
        ("rating: 100 kW", "rating: 600 kVA", "facility.0.rating", "apparent power"),
        ("10 min", "0 s", "duration", "must be above 0"),
        ("10 min", "100 ms", "duration", "shorter than one power_step"),
        ("10 min", "1e9 h", "duration", "power steps, and 2,000,000,000 can be played"),
        (
            "rating: 100 kW",
            "ramp: {change: 5 kW, window: 1e8 h}",
            "facility.0.ramp.window",
            "power steps, and may span 20,000,000",
        ),
        (
            "rating: 100 kW",
            "demand: [{window: 15 min, limit: 9 kW}, {window: 1e8 h, limit: 9 kW}]",
            "facility.0.demand.1.window",
            "power steps, and may span 20,000,000",
        ),
        (
            "tensor_parallel: 8",
            "tensor_parallel: eight",
            "servers.0.tensor_parallel",
            "whole number",
        ),
        ("rate: 2 req/s", "rate: 2 kW", "workload.0.arrivals.rate", "such as '2 req/s'"),
        ("name: server", "name: my server", "facility.3.name", "is not a name"),
        ("{kind: fixed, prompt: 512, output: 128}", "short", "workload.0.tokens", "block of"),
        (
            "{kind: fixed, prompt: 512, output: 128}",
            "{kind: lognormal, prompt_median: .inf, prompt_sigma: 1, "
            "output_median: 9, output_sigma: 1}",
            "workload.0.tokens.prompt_median",
            "a finite number",
        ),
        ("prompt: 512", "prompt: 0", "workload.0.tokens.prompt", "greater than or equal to 1"),
    ],
)
def test_wrong_values(old: str, new: str, path: str, message: str) -> None:
    text = edited((old, new))
    problem = only(text)
    assert problem.path == path
    assert message in problem.message
    assert problem.line == line_of(text, new)


@pytest.mark.parametrize(
    ("old", "new", "path", "hint"),
    [
        ("duration: 10 min", "duration: 10 min\nduraton: 1 h", "duraton", "'duration'"),
        ("rate: 2 req/s", "rate: 2 req/s\n      rates: 1", "workload.0.arrivals.rates", "'rate'"),
        ("    count: 2", "    cuont: 2", "facility.2.cuont", "'count'"),
        ("kind: poisson", "kind: poison", "workload.0.arrivals.kind", "'poisson'"),
        ("kind: rack", "kind: rak", "facility.2.kind", "'rack'"),
        (
            "model: llama-3-70b\n    a",
            "model: lama-3-70b\n    a",
            "workload.0.model",
            "'llama-3-70b'",
        ),
        ("server: dgx-a100-80gb", "server: dgx-a100", "servers.0.server", "'dgx-a100-80gb'"),
        ("parent: rack", "parent: rac", "facility.3.parent", "'rack'"),
        ("group: a100", "group: a10", "facility.3.group", "'a100'"),
        (
            "{kind: fixed, prompt: 512, output: 128}",
            "{kind: fit, name: azure-conv}",
            "workload.0.tokens.name",
            "'azure-2023-conv'",
        ),
        (
            "    rating: 23 kW",
            "    rating: 23 kW\n    breaker: {curve: thermal}",
            "facility.2.breaker.curve",
            "'thermal-magnetic'",
        ),
    ],
)
def test_wrong_names_get_the_nearest(old: str, new: str, path: str, hint: str) -> None:
    found = [p for p in problems(edited((old, new))) if p.path == path]
    assert len(found) == 1
    assert found[0].hint == f"did you mean {hint}?"


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("duration: 10 min\n", "duration"),
        ("      kind: poisson\n", "workload.0.arrivals.kind"),
        ("      rate: 2 req/s\n", "workload.0.arrivals.rate"),
        ("    tensor_parallel: 8\n", "servers.0.tensor_parallel"),
    ],
)
def test_missing_keys(line: str, path: str) -> None:
    problem = only(edited((line, "")))
    assert (problem.path, problem.message) == (path, "required key is missing")
    assert problem.hint


def test_a_key_given_twice() -> None:
    text = edited(("duration: 10 min", "duration: 10 min\nseed: 3\nduration: 2 h"))
    problem = only(text)
    assert (problem.line, problem.path) == (4, "duration")
    assert "first in line 2" in problem.message


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", None, "empty"),
        ("- a\n- b\n", 1, "key: value"),
        ("name: [a\nduration: 1 h\n", 2, "not YAML"),
        ("name: a\n\tduration: 1 h\n", 2, "not YAML"),
        ("name: !!python/object:os.system x\n", 1, "not YAML"),
        ("a: &a [*a]\n", None, "alias"),
        ("a: !!timestamp 2024-13-45\n", None, "not YAML"),
    ],
)
def test_not_yaml(text: str, line: int | None, message: str) -> None:
    problem = only(text)
    assert message in problem.message
    assert problem.line == line


def test_aliases_that_unfold_without_end_are_refused() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
    assert "without end" in only("\n".join(rows)).message


def test_merged_keys_and_aliases_are_understood() -> None:
    text = edited(
        ("    count: 2\n    rating: 23 kW", "    <<: &twin {count: 2, rating: 23 kW}"),
        ("    count: 4", "    <<: *twin\n    count: 4"),
    )
    scenario = loads(text)
    assert (scenario.facility[3].count, scenario.facility[3].rating_w) == (4, 23e3)


def test_unreadable_files(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"name: \xff\xfe")
    for path, message in (
        (tmp_path / "nowhere.yaml", "no such file"),
        (tmp_path, "cannot be read"),
        (binary, "not UTF-8"),
    ):
        with pytest.raises(ScenarioError) as caught:
            load(path)
        (problem,) = caught.value.problems
        assert message in problem.message
        assert problem.file == str(path)


# --- servers and workload --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        (
            "tensor_parallel: 8",
            "tensor_parallel: 16",
            "servers.0.tensor_parallel",
            "does not divide",
        ),
        (
            "tensor_parallel: 8",
            "tensor_parallel: 3",
            "servers.0.tensor_parallel",
            "does not divide",
        ),
        (
            "tensor_parallel: 8",
            "tensor_parallel: 4\n    pipeline_parallel: 4",
            "servers.0.pipeline_parallel",
            "4 x 4 = 16 does not divide",
        ),
        (
            "tensor_parallel: 8",
            "tensor_parallel: 8\n    expert_parallel: 8",
            "servers.0.expert_parallel",
            "llama-3-70b has no experts",
        ),
        (
            "tensor_parallel: 8",
            "tensor_parallel: 8\n    role: prefill",
            "servers.0.role",
            "no decode pool",
        ),
        ("tensor_parallel: 8", "tensor_parallel: 1", "servers.0.tensor_parallel", "141.1 GB"),
        (
            "tensor_parallel: 8",
            "tensor_parallel: 2",
            "servers.0.engine.max_model_len",
            "room for 8816",  # (2 x 72 GB - 141.107 GB) / (2 x 80 x 8 x 128 x 2 B)
        ),
        (
            "tensor_parallel: 8",
            "tensor_parallel: 8\n    engine: {max_num_seqs: 4096}",
            "servers.0.engine",
            "max_num_batched_tokens must be at least max_num_seqs",
        ),
        (
            "tensor_parallel: 8",
            "tensor_parallel: 8\n    power: {model: gru, pack: nowhere.h5}",
            "servers.0.power.pack",
            "does not exist",
        ),
        (
            "model: llama-3-70b\n    a",
            "model: llama-3-8b\n    a",
            "workload.0.model",
            "no server group",
        ),
        (
            "    tokens: {kind: fixed, prompt: 512, output: 128}\n",
            "",
            "workload.0.tokens",
            "required",
        ),
        (
            "kind: site\n    rating: 100 kW",
            "kind: site\n    breaker: {}",
            "facility.0.breaker",
            "no rating",
        ),
    ],
)
def test_what_cannot_work(old: str, new: str, path: str, message: str) -> None:
    problem = only(edited((old, new)))
    assert problem.path == path
    assert message in problem.message


REPLAY = (
    "      kind: poisson\n      rate: 2 req/s\n    tokens: {kind: fixed, prompt: 512, output: 128}",
    "      kind: replay\n      file: FILE",
)


def test_missing_trace_file(tmp_path: Path) -> None:
    text = edited(REPLAY, ("FILE", "trace.csv"))
    problem = only(text, folder=tmp_path)
    assert problem.message == f"trace file {tmp_path / 'trace.csv'} does not exist"
    assert problem.line == line_of(text, "trace.csv")
    (tmp_path / "trace.csv").write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n")
    assert problems(text, folder=tmp_path) == []


def test_variables_in_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = edited(REPLAY, ("FILE", "${SOME_TRACES}/trace.csv"))
    monkeypatch.delenv("SOME_TRACES", raising=False)
    assert "variable SOME_TRACES is not set" in only(text).message
    (tmp_path / "trace.csv").write_text("x")
    for value, here in ((str(tmp_path), "/"), (".", str(tmp_path))):
        monkeypatch.chdir(here)
        monkeypatch.setenv("SOME_TRACES", value)
        arrivals = loads(text, folder="/").workload[0].arrivals
        assert getattr(arrivals, "file") == tmp_path / "trace.csv"  # noqa: B009


def test_a_replay_with_tokens(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("x")
    text = edited(REPLAY, ("FILE", "trace.csv\n    tokens: {kind: fixed, prompt: 1, output: 1}"))
    assert only(text, folder=tmp_path).path == "workload.0.tokens"


def test_names_given_twice() -> None:
    text = edited(("name: row", "name: rack"), ("parent: row", "parent: site"))
    problem = only(text)
    assert problem.path == "facility.2.name"
    line = line_of(text, "name: rack")
    assert f"taken by facility.1, line {line}" in problem.message
    assert problem.line == line + 3


# --- several at once -------------------------------------------------------------------------


def test_all_problems_at_once_in_order_of_line() -> None:
    text = edited(
        ("10 min", "10 kg"),
        ("rate: 2 req/s", "rate: two"),
        ("server: dgx-a100-80gb", "server: dgx-a200"),
        ("rating: 100 kW", "rating: -100 kW"),
        ("parent: site", "parent: rack"),
        ("group: a100", "groop: a100"),
    )
    found = problems(text, "servers.0.engine.max_num_seqs=none")
    assert [(p.file, p.line, p.path) for p in found] == [
        ("<text>", 2, "duration"),
        ("<text>", 8, "workload.0.arrivals.rate"),
        ("<text>", 12, "servers.0.server"),
        ("<text>", 18, "facility.0.rating"),
        ("<text>", 21, "facility.1.parent"),
        ("<text>", 27, "facility.3"),
        ("<text>", 31, "facility.3.groop"),
        ("--set", None, "servers.0.engine.max_num_seqs"),
    ]
    assert "row -> rack -> row" in found[4].message
    assert str(found[0]).startswith("<text>:2: duration: '10 kg' is not a quantity")


def test_recording_must_fit_the_steps_and_policies_exist() -> None:
    more = "record: {server_step: 0.6 s}\ncontrol: [{policy: admission-throtle}]\n"
    found = {problem.path: problem for problem in problems(GOOD + more)}
    assert "whole multiple of power_step" in found["record.server_step"].message
    assert "did you mean 'admission-throttle'" in found["control.0.policy"].hint
    assert found["control.0.policy"].line == line_of(GOOD + more, "control")
    assert problems(GOOD + more.replace("0.6", "0.5").replace("throtle", "throttle")) == []


def test_routing_must_have_something_to_look_at() -> None:
    bare = edited(("    rating: 100 kW\n", ""), ("    rating: 23 kW\n", ""))
    problem = only(bare + "routing: {policy: power-aware}\n")
    assert problem.path == "routing.policy"
    assert "no headroom" in problem.message
    assert problems(GOOD + "routing: {policy: power-aware, balance_factor: 2}\n") == []
    problem = only(GOOD + "routing: {policy: random, balance_factor: 2}\n")
    assert problem.path == "routing"
    assert "prefix-aware and power-aware" in problem.message
    assert "0 or more" in only(GOOD + "routing: {signal_delay: -1 s}\n").message
    hint = only(GOOD + "routing: {policy: power-of-tow}\n").hint
    assert hint == "did you mean 'power-of-two'?"


# --- values that cannot be read ----------------------------------------------------------------


def test_a_wrong_value_hides_only_what_depends_on_it() -> None:
    """The rest is checked; no rule guesses at what could not be read."""
    text = edited(
        ("rating: 100 kW", "rating: 100 kg\n    breaker: {curve: quick}"),  # rated, whatever it is
        ("    count: 2", "    count: two"),
        ("group: a100", "group: a10"),
    )
    more = "power_step: 3 kg\nrecord: {server_step: 1.1 s}\nfaults: [{at: 1 min, fail: rack-9}]\n"
    assert [p.path for p in problems(text + more)] == [
        "facility.0.rating",
        "facility.0.breaker.curve",
        "facility.2.count",
        "facility.3.group",
        "power_step",
    ]


def test_what_an_unreadable_engine_leaves_of_its_group() -> None:
    engine = "tensor_parallel: 1\n    engine: {gpu_memory_utilization: lots}\n    power: {pack: x}"
    text = edited(("tensor_parallel: 8", engine))
    assert [p.path for p in problems(text)] == [
        "servers.0.engine.gpu_memory_utilization",
        "servers.0.power.pack",
    ]


def test_without_a_name_the_form_of_the_file_comes_first() -> None:
    text = edited(
        ("name: rack\n    kind: rack", "kind: rack"),
        ("model: llama-3-70b\n    a", "model: lama\n    a"),
    )
    problem = only(text)
    assert (problem.path, problem.message) == ("facility.2.name", "required key is missing")
