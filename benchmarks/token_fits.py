"""Makes the shipped token-length fits: python -m benchmarks.token_fits

Prompt and output lengths become quantile tables, denser at the ends, tied by a Gaussian copula
with the correlation that reproduces their rank correlation. The quality figures written beside
them compare 200,000 draws with the data.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml
from scipy.stats import ks_2samp, spearmanr

from benchmarks.data import need_data
from dcsim.workload.tokens import TokenFit, fitted

FITS = Path(__file__).parents[1] / "dcsim" / "workload" / "fits"
PROBABILITIES = np.unique(
    np.concatenate([np.linspace(0, 1, 101), [0.001, 0.0025, 0.005, 0.995, 0.9975, 0.999]])
)
AZURE = "Azure LLM inference trace 2023 (AzurePublicDataset; Patel et al., Splitwise, ISCA 2024)"


def make(
    name: str,
    prompt: npt.NDArray[np.int64],
    output: npt.NDArray[np.int64],
    *,
    title: str,
    source: str,
    licence: str,
) -> None:
    """Fit, measure and write one table."""
    rank = float(spearmanr(prompt, output).statistic)
    fit = TokenFit(
        name=name,
        title=title,
        source=source,
        licence=licence,
        requests=len(prompt),
        probabilities=tuple(PROBABILITIES.round(4).tolist()),
        prompt_quantiles=tuple(np.quantile(prompt, PROBABILITIES).round(1).tolist()),
        output_quantiles=tuple(np.quantile(output, PROBABILITIES).round(1).tolist()),
        # For a Gaussian copula: Spearman's rho = 6/pi asin(r/2).
        copula_correlation=round(2 * math.sin(math.pi * rank / 6), 4),
        quality={},
    )
    drawn_prompt, drawn_output = fitted(fit)(200_000, np.random.default_rng(1))
    quality = {
        "prompt_ks": ks_2samp(prompt, drawn_prompt).statistic,
        "output_ks": ks_2samp(output, drawn_output).statistic,
        "prompt_mean_error": drawn_prompt.mean() / prompt.mean() - 1,
        "output_mean_error": drawn_output.mean() / output.mean() - 1,
        "rank_correlation_data": rank,
        "rank_correlation_fit": spearmanr(drawn_prompt, drawn_output).statistic,
    }
    shown = {key: round(float(value), 4) for key, value in quality.items()}
    table = fit.model_copy(update={"quality": shown}).model_dump(exclude={"name"}, mode="json")
    text = yaml.safe_dump(table, sort_keys=False, default_flow_style=None, width=100)
    (FITS / f"{name}.yaml").write_text(
        "# Made by `python -m benchmarks.token_fits`; do not edit.\n" + text, encoding="utf-8"
    )
    print(name, len(prompt), "requests", shown)


def main() -> None:
    """Write every fit."""
    data = need_data()
    for kind in ("conv", "code"):
        rows = pd.read_csv(data / "arrivals" / f"azure_llm_2023_{kind}.csv")
        make(
            f"azure-2023-{kind}",
            rows["ContextTokens"].to_numpy(),
            rows["GeneratedTokens"].to_numpy(),
            title=f"Azure production, {'conversation' if kind == 'conv' else 'code completion'}",
            source=AZURE,
            licence="CC-BY-4.0",
        )
    runs = [
        pd.read_csv(file)
        for file in sorted((data / "measured" / "vllm_runs").glob("*/requests.csv"))
        if "14b" in str(file) or "gamma" in str(file)  # the others repeat the same requests
    ]
    rows = pd.concat(runs)
    make(
        "sharegpt",
        rows["input_tokens"].to_numpy(),
        rows["output_tokens"].to_numpy(),
        title="ShareGPT conversations as vLLM's benchmark samples them",
        source="requests of powertrace-sim's measured vLLM runs (Wilkins et al., arXiv 2603.18383)",
        licence="statistics only; see the source",
    )


if __name__ == "__main__":
    main()
