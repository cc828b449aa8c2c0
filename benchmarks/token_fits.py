"""Makes the shipped token-length fits: python -m benchmarks.token_fits

Prompt lengths become one quantile table, denser at the ends; output lengths one for each class of
prompts. The classes hold alike many requests. The quality figures written beside them compare
200,000 draws with the data.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy.stats import ks_2samp, spearmanr

from benchmarks.data import need_data
from dcsim.arrays import FloatArray, IntArray
from dcsim.workload.tokens import TokenFit, fitted

FITS = Path(__file__).parents[1] / "dcsim" / "workload" / "fits"
ENDS = np.array([0.001, 0.0025, 0.005, 0.01, 0.025])
PROMPT_GRID = np.unique(np.concatenate([np.linspace(0, 1, 101), ENDS, 1 - ENDS]).round(4))
OUTPUT_GRID = np.unique(np.concatenate([np.linspace(0, 1, 21), ENDS[2:], 1 - ENDS[2:]]).round(4))
CLASS_REQUESTS = 100
"""A class of prompts holds at least so many: with fewer, its tails would be single requests."""
MOST_CLASSES = 20
AZURE = "Azure LLM inference trace 2023 (AzurePublicDataset; Patel et al., Splitwise, ISCA 2024)"


def make(
    name: str,
    prompt: IntArray,
    output: IntArray,
    *,
    title: str,
    source: str,
    licence: str,
) -> None:
    """Fit, measure and write one table."""
    classes = min(MOST_CLASSES, max(1, len(prompt) // CLASS_REQUESTS))
    edges = np.unique(np.quantile(prompt, np.arange(1, classes) / classes).round())
    kind = np.searchsorted(edges, prompt, side="right")
    fit = TokenFit(
        name=name,
        title=title,
        source=source,
        licence=licence,
        requests=len(prompt),
        prompt_probabilities=tuple(PROMPT_GRID.tolist()),
        prompt_quantiles=_quantiles(prompt, PROMPT_GRID),
        prompt_edges=tuple(edges.tolist()),
        output_probabilities=tuple(OUTPUT_GRID.tolist()),
        output_quantiles=tuple(
            _quantiles(output[kind == i], OUTPUT_GRID) for i in range(len(edges) + 1)
        ),
        quality={},
    )
    drawn_prompt, drawn_output = fitted(fit)(200_000, np.random.default_rng(1))
    quality = {
        "prompt_ks": ks_2samp(prompt, drawn_prompt).statistic,
        "output_ks": ks_2samp(output, drawn_output).statistic,
        "prompt_mean_error": drawn_prompt.mean() / prompt.mean() - 1,
        "output_mean_error": drawn_output.mean() / output.mean() - 1,
        "rank_correlation_data": spearmanr(prompt, output).statistic,
        "rank_correlation_fit": spearmanr(drawn_prompt, drawn_output).statistic,
        "correlation_data": np.corrcoef(prompt, output)[0, 1],
        "correlation_fit": np.corrcoef(drawn_prompt, drawn_output)[0, 1],
        "explained_by_prompt_data": _explained(prompt, output),
        "explained_by_prompt_fit": _explained(drawn_prompt, drawn_output),
    }
    shown = {key: round(float(value), 4) for key, value in quality.items()}
    table = fit.model_copy(update={"quality": shown}).model_dump(exclude={"name"}, mode="json")
    text = yaml.safe_dump(table, sort_keys=False, default_flow_style=None, width=100)
    (FITS / f"{name}.yaml").write_text(
        "# Made by `python -m benchmarks.token_fits`; do not edit.\n" + text, encoding="utf-8"
    )
    print(name, len(prompt), "requests", shown)


def _quantiles(tokens: IntArray, grid: FloatArray) -> tuple[float, ...]:
    return tuple(np.quantile(tokens, grid).round(1).tolist())


def _explained(prompt: IntArray, output: IntArray) -> float:
    """Share of the output's variance that lies between the deciles of the prompt."""
    edges = np.quantile(prompt, np.arange(1, 10) / 10)
    kind = np.searchsorted(edges, prompt, side="right")
    sizes = np.bincount(kind, minlength=10)
    means = np.bincount(kind, weights=output, minlength=10) / np.maximum(sizes, 1)
    return float((sizes * (means - output.mean()) ** 2).sum() / len(output) / output.var())


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
