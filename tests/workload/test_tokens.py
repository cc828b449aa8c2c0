"""Token lengths: distributions asked for, and fits against the data that they were made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy import stats

from benchmarks.data import data_folder
from dcsim.scenario.models import (
    EmpiricalTokens,
    FitTokens,
    FixedTokens,
    LognormalTokens,
    MixtureTokens,
)
from dcsim.workload.tokens import TokenFit, fitted, load_fits, sampler

DRAWS = 100_000


def test_fixed() -> None:
    prompt, output = sampler(FixedTokens(kind="fixed", prompt_tokens=7, output_tokens=3))(
        5, np.random.default_rng(0)
    )
    assert prompt.tolist() == [7] * 5
    assert output.tolist() == [3] * 5


def test_lognormal_median_sigma_and_bounds() -> None:
    spec = LognormalTokens(
        kind="lognormal",
        prompt_median=800,
        prompt_sigma=0.7,
        prompt_max=4000,
        output_median=2,
        output_sigma=1.5,
        output_max=40,
    )
    prompt, output = sampler(spec)(DRAWS, np.random.default_rng(0))
    assert np.median(prompt) == pytest.approx(800, rel=0.02)
    assert np.log(prompt[prompt < 800]).min() < np.log(800) - 2 * 0.7
    # A log-normal's share below its median / e^sigma.
    assert (prompt < 800 * np.exp(-0.7)).mean() == pytest.approx(stats.norm.cdf(-1), rel=0.03)
    assert prompt.max() == 4000
    assert (output.min(), output.max()) == (1, 40)
    # P(output >= 40), where the clipped tail lies.
    tail = stats.norm.sf(np.log(39.5 / 2) / 1.5)
    assert (output == 40).mean() == pytest.approx(tail, rel=0.1)
    assert abs(stats.spearmanr(prompt, output).statistic) < 0.02


def test_empirical_pairs_stay_pairs(tmp_path: Path) -> None:
    file = tmp_path / "lengths.csv"
    file.write_text("prompt,output\n10,1\n20,2\n30,3\n30,3\n")
    spec = EmpiricalTokens(kind="empirical", file=file)
    prompt, output = sampler(spec)(DRAWS, np.random.default_rng(0))
    assert np.array_equal(prompt, 10 * output)
    shares = np.bincount(output, minlength=4)[1:] / DRAWS
    assert shares == pytest.approx([0.25, 0.25, 0.5], abs=0.01)
    clipped = spec.model_copy(update={"prompt_max": 25, "output_min": 2})
    prompt, output = sampler(clipped)(DRAWS, np.random.default_rng(0))
    assert (prompt.max(), output.min()) == (25, 2)


def test_empirical_lengths_of_a_trace(data: Path) -> None:
    file = data / "arrivals" / "azure_llm_2023_code.csv"
    spec = EmpiricalTokens(kind="empirical", file=file, format="azure-2023")
    prompt, output = sampler(spec)(DRAWS, np.random.default_rng(0))
    rows = pd.read_csv(file)
    pairs = set(zip(rows["ContextTokens"], rows["GeneratedTokens"], strict=True))
    assert set(zip(prompt.tolist(), output.tolist(), strict=True)) <= pairs
    assert stats.ks_2samp(prompt, rows["ContextTokens"]).statistic < 0.01


def test_mixtures_by_weight_and_clipped() -> None:
    parts = [
        {"weight": 3, "tokens": {"kind": "fixed", "prompt": 10, "output": 1}},
        {"tokens": {"kind": "lognormal", "prompt_median": 5000, "prompt_sigma": 0.1,
                    "output_median": 100, "output_sigma": 0.5}},
    ]  # fmt: skip
    spec = MixtureTokens.model_validate({"kind": "mixture", "parts": parts, "output_max": 150})
    prompt, output = sampler(spec)(DRAWS, np.random.default_rng(0))
    small = prompt == 10
    assert small.mean() == pytest.approx(0.75, abs=0.01)
    assert (output[small] == 1).all()
    assert np.median(prompt[~small]) == pytest.approx(5000, rel=0.01)
    assert output.max() == 150


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sigma", [50, 5e3, 1e308])
def test_a_lognormal_without_a_maximum_stays_a_number(sigma: float) -> None:
    spec = LognormalTokens(
        kind="lognormal", prompt_median=1e3, prompt_sigma=sigma, prompt_max=None,
        output_median=1, output_sigma=0, output_max=None,
    )  # fmt: skip
    prompt, _ = sampler(spec)(1000, np.random.default_rng(0))
    assert (prompt.min(), prompt.max()) == (1, 10_000_000)


@pytest.mark.parametrize("kind", ["conv", "code"])
@pytest.mark.skipif(data_folder() is None, reason="reference data not found (DCSIM_DATA)")
def test_fits_reproduce_the_traces(kind: str) -> None:
    folder = data_folder()
    assert folder is not None
    rows = pd.read_csv(folder / "arrivals" / f"azure_llm_2023_{kind}.csv")
    prompt, output = rows["ContextTokens"].to_numpy(), rows["GeneratedTokens"].to_numpy()
    fit = load_fits()[f"azure-2023-{kind}"]
    assert fit.requests == len(rows)
    drawn_prompt, drawn_output = sampler(FitTokens(kind="fit", name=fit.name))(
        DRAWS, np.random.default_rng(12)
    )
    for data, drawn, ks in (
        (prompt, drawn_prompt, fit.quality["prompt_ks"]),
        (output, drawn_output, fit.quality["output_ks"]),
    ):
        assert stats.ks_2samp(data, drawn).statistic < 0.02
        assert stats.ks_2samp(data, drawn).statistic == pytest.approx(ks, abs=0.006)
        assert drawn.mean() == pytest.approx(data.mean(), rel=0.02)
        assert drawn.std() == pytest.approx(data.std(), rel=0.05)
        assert data.min() <= drawn.min() <= drawn.max() <= data.max()
    # How answers hang together with questions: their mean by fifth of the prompts.
    edges = np.quantile(prompt, [0.2, 0.4, 0.6, 0.8])
    for fifth in range(5):
        among = output[np.searchsorted(edges, prompt) == fifth]
        drawn_among = drawn_output[np.searchsorted(edges, drawn_prompt) == fifth]
        error = 4 * among.std() / np.sqrt(len(among)) + 0.01 * output.mean()
        assert drawn_among.mean() == pytest.approx(among.mean(), abs=error)


def test_shipped_fits_state_their_quality() -> None:
    fits = load_fits()
    assert set(fits) == {"azure-2023-conv", "azure-2023-code", "sharegpt"}
    for fit in fits.values():
        assert fit.source
        assert fit.licence
        assert max(fit.quality["prompt_ks"], fit.quality["output_ks"]) < 0.02
        assert abs(fit.quality["prompt_mean_error"]) < 0.02
        assert abs(fit.quality["output_mean_error"]) < 0.02
        explained = fit.quality["explained_by_prompt_data"]
        assert fit.quality["explained_by_prompt_fit"] == pytest.approx(explained, abs=0.02)


SMALL = {
    "name": "small",
    "title": "made up",
    "source": "this test",
    "licence": "none",
    "requests": 4,
    "prompt_probabilities": (0, 0.5, 1),
    "prompt_quantiles": (10, 20, 40),
    "prompt_edges": (20,),
    "output_probabilities": (0, 0.25, 1),
    "output_quantiles": ((1, 1, 1), (100, 200, 500)),
    "quality": {},
}


def test_output_follows_the_table_of_the_prompts_class() -> None:
    prompt, output = fitted(TokenFit.model_validate(SMALL))(DRAWS, np.random.default_rng(0))
    assert (output[prompt < 20] == 1).all()
    assert stats.kstest(
        output[prompt >= 20], lambda x: np.interp(x, [100, 200, 500], [0, 0.25, 1])
    ).statistic < 0.01  # fmt: skip
    assert np.mean(prompt >= 20) == pytest.approx(0.525, abs=0.01)  # 19.5 and more round up


@pytest.mark.parametrize(
    "damage",
    [
        {"prompt_quantiles": (10, 40, 20)},
        {"prompt_quantiles": (10, 40)},
        {"prompt_probabilities": (0, 0.5, 0.9)},
        {"prompt_edges": ()},
        {"requests": 0},
    ],
)
def test_a_damaged_fit_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TokenFit.model_validate({**SMALL, **damage})
