"""Prompt and output lengths: fixed, log-normal, or drawn from a shipped fit."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Annotated, Protocol

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import Field

from dcsim.scenario.models import FitTokens, FixedTokens, LognormalTokens, Spec, Tokens

Lengths = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
Quantiles = Annotated[tuple[float, ...], Field(min_length=2)]


class Sampler(Protocol):
    """Draws lengths of `count` requests: (prompt tokens, output tokens), each at least 1."""

    def __call__(self, count: int, rng: np.random.Generator) -> Lengths: ...


class TokenFit(Spec):
    """A shipped fit: the two marginals as quantile tables, tied by a Gaussian copula."""

    name: str
    title: str
    source: str
    licence: str
    requests: int
    """Rows that the fit was made from."""
    probabilities: Quantiles
    """Rising from 0 to 1."""
    prompt_quantiles: Quantiles
    output_quantiles: Quantiles
    copula_correlation: float = Field(ge=-1, le=1)
    quality: dict[str, float]
    """How the fit reproduces its data: KS distances, error of the means, rank correlations."""


@lru_cache(maxsize=1)
def load_fits() -> dict[str, TokenFit]:
    """All shipped fits by name."""
    folder = resources.files("dcsim.workload") / "fits"
    fits = {}
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".yaml"):
            name = file.name.removesuffix(".yaml")
            fits[name] = TokenFit(name=name, **yaml.safe_load(file.read_text(encoding="utf-8")))
    return fits


def sampler(spec: Tokens) -> Sampler:
    """The sampler of a scenario's `tokens`. Raises KeyError for a fit that is not shipped."""
    if isinstance(spec, FixedTokens):
        return _fixed(spec)
    if isinstance(spec, LognormalTokens):
        return _lognormal(spec)
    assert isinstance(spec, FitTokens)
    return fitted(load_fits()[spec.name])


def fitted(fit: TokenFit) -> Sampler:
    """Correlated normals, through the normal distribution to ranks, through the tables to
    tokens."""
    from scipy.special import ndtr

    across = float(np.sqrt(1.0 - fit.copula_correlation**2))

    def draw(count: int, rng: np.random.Generator) -> Lengths:
        first, second = rng.standard_normal((2, count))
        second = fit.copula_correlation * first + across * second
        return (
            _whole(np.interp(ndtr(first), fit.probabilities, fit.prompt_quantiles)),
            _whole(np.interp(ndtr(second), fit.probabilities, fit.output_quantiles)),
        )

    return draw


def _fixed(spec: FixedTokens) -> Sampler:
    def draw(count: int, rng: np.random.Generator) -> Lengths:
        return np.full(count, spec.prompt_tokens), np.full(count, spec.output_tokens)

    return draw


def _lognormal(spec: LognormalTokens) -> Sampler:
    def draw(count: int, rng: np.random.Generator) -> Lengths:
        first, second = rng.standard_normal((2, count))
        prompt = spec.prompt_median * np.exp(spec.prompt_sigma * first)
        output = spec.output_median * np.exp(spec.output_sigma * second)
        return (
            _whole(np.minimum(prompt, spec.prompt_max)),
            _whole(np.minimum(output, spec.output_max)),
        )

    return draw


def _whole(tokens: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return np.maximum(np.rint(tokens), 1.0).astype(np.int64)
