"""Prompt and output lengths: fixed, log-normal, drawn from a shipped fit or from a file, and
mixtures of these."""

from __future__ import annotations

import math
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from typing import Annotated, Protocol

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import AfterValidator, Field, model_validator

from dcsim.arrays import AnyArray, FloatArray, IntArray
from dcsim.scenario.models import (
    Clipped,
    EmpiricalTokens,
    FixedTokens,
    LognormalTokens,
    MixtureTokens,
    Spec,
    Tokens,
)
from dcsim.workload.formats import FORMATS
from dcsim.workload.traces import Options, read

MAX_DRAWN_TOKENS = 1e7
"""Tokens; a log-normal without a maximum ends here."""
MAX_EXPONENT = 700.0
"""Of e, up and down: beyond are no numbers."""

Lengths = tuple[IntArray, IntArray]


def _rising(table: tuple[float, ...]) -> tuple[float, ...]:
    if any(low > high for low, high in pairwise(table)):
        raise ValueError("must not fall")
    return table


Table = Annotated[tuple[float, ...], Field(min_length=2), AfterValidator(_rising)]


class Sampler(Protocol):
    """Draws lengths of `count` requests: (prompt tokens, output tokens), each at least 1."""

    def __call__(self, count: int, rng: np.random.Generator) -> Lengths: ...


class TokenFit(Spec):
    """A shipped fit: prompt lengths as one quantile table, output lengths as one for each class of
    prompts. What people ask and what they get hang together in no simple way: in the Azure
    conversations, middling prompts have long answers and both short and long ones short answers,
    which a correlation cannot say."""

    name: str
    title: str
    source: str
    licence: str
    requests: int = Field(ge=1)
    """Rows that the fit was made from."""
    prompt_probabilities: Table
    prompt_quantiles: Table
    prompt_edges: tuple[float, ...]
    """Prompt lengths at which the next class begins; one fewer than classes."""
    output_probabilities: Table
    output_quantiles: tuple[Table, ...] = Field(min_length=1)
    """By class of prompt, shortest first."""
    quality: dict[str, float]
    """How the fit reproduces its data: KS distances, relative errors of means, correlations."""

    @model_validator(mode="after")
    def _consistent(self) -> TokenFit:
        for grid in (self.prompt_probabilities, self.output_probabilities):
            if (grid[0], grid[-1]) != (0.0, 1.0):
                raise ValueError("probabilities must rise from 0 to 1")
        pairs = [(self.prompt_probabilities, self.prompt_quantiles)]
        pairs += [(self.output_probabilities, table) for table in self.output_quantiles]
        if any(len(grid) != len(table) for grid, table in pairs):
            raise ValueError("each table needs one quantile for each probability")
        if len(self.output_quantiles) != len(self.prompt_edges) + 1:
            raise ValueError("there must be one more output table than prompt edges")
        return self


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
    """The sampler of a scenario's `tokens`. Raises KeyError for a fit that is not shipped, and
    TraceError or OSError, when first drawn from, for a file that cannot be read."""
    if isinstance(spec, FixedTokens):
        return _fixed(spec)
    if isinstance(spec, LognormalTokens):
        return _clipped(spec, _lognormal(spec))
    if isinstance(spec, EmpiricalTokens):
        return _clipped(spec, _empirical(spec))
    if isinstance(spec, MixtureTokens):
        return _clipped(spec, _mixture(spec))
    return _clipped(spec, fitted(load_fits()[spec.name]))


def fitted(fit: TokenFit) -> Sampler:
    """Prompt from its quantile table, output from the table of the prompt's class."""
    grid = np.array(fit.output_probabilities)
    tables = np.array(fit.output_quantiles)
    slopes = np.diff(tables, axis=1) / np.diff(grid)

    def draw(count: int, rng: np.random.Generator) -> Lengths:
        drawn = rng.random((2, count))
        prompt = _whole(np.interp(drawn[0], fit.prompt_probabilities, fit.prompt_quantiles))
        kind = np.searchsorted(fit.prompt_edges, prompt, side="right")
        place = np.searchsorted(grid, drawn[1], side="right") - 1
        output = tables[kind, place] + slopes[kind, place] * (drawn[1] - grid[place])
        return prompt, _whole(output)

    return draw


def _fixed(spec: FixedTokens) -> Sampler:
    def draw(count: int, rng: np.random.Generator) -> Lengths:
        return np.full(count, spec.prompt_tokens), np.full(count, spec.output_tokens)

    return draw


def _lognormal(spec: LognormalTokens) -> Sampler:
    parts = ((spec.prompt_median, spec.prompt_sigma), (spec.output_median, spec.output_sigma))

    def draw(count: int, rng: np.random.Generator) -> Lengths:
        prompt, output = (
            _whole(_drawn(median, sigma, normal))
            for (median, sigma), normal in zip(parts, rng.standard_normal((2, count)), strict=True)
        )
        return prompt, output

    return draw


def _drawn(median: float, sigma: float, normal: FloatArray) -> FloatArray:
    """Lengths of standard normal draws, at most MOST_DRAWN: far beyond any model's context, and far
    from where whole numbers end. Draws are cut before they become powers that no number holds."""
    if sigma > 0.0:
        most = min(math.log(MAX_DRAWN_TOKENS / median) + 1.0, MAX_EXPONENT)
        normal = np.clip(normal, -MAX_EXPONENT / sigma, most / sigma)
    return np.minimum(median * np.exp(sigma * normal), MAX_DRAWN_TOKENS)


def _empirical(spec: EmpiricalTokens) -> Sampler:
    """Pairs as they stand in the file, so that what hangs together stays together."""
    known: list[npt.NDArray[np.int32]] = []

    def draw(count: int, rng: np.random.Generator) -> Lengths:
        if not known:  # 8 bytes a row
            rows = read(spec.file, FORMATS[spec.format], lengths_only(spec))
            pairs: AnyArray = np.fromiter(
                ((row.prompt_tokens, row.output_tokens) for row in rows),
                dtype=np.dtype((np.int32, 2)),
            )
            known.append(pairs)
        drawn = known[0][rng.integers(0, len(known[0]), count)].astype(np.int64)
        return drawn[:, 0], drawn[:, 1]

    return draw


def lengths_only(spec: EmpiricalTokens) -> Options:
    """How a file is read for its lengths: times are left aside."""
    given = {} if spec.columns is None else spec.columns.model_dump()
    columns = tuple((role, name) for role, name in given.items() if name is not None)
    return Options(columns=columns, timed=False)


def _mixture(spec: MixtureTokens) -> Sampler:
    samplers = [sampler(part.tokens) for part in spec.parts]
    bounds = np.cumsum([part.weight for part in spec.parts])

    def draw(count: int, rng: np.random.Generator) -> Lengths:
        kind = np.searchsorted(bounds, rng.random(count) * bounds[-1], side="right")
        prompt = np.empty(count, dtype=np.int64)
        output = np.empty(count, dtype=np.int64)
        for number, part in enumerate(samplers):
            at = np.flatnonzero(kind == number)
            prompt[at], output[at] = part(len(at), rng)
        return prompt, output

    return draw


def _clipped(spec: Clipped, inner: Sampler) -> Sampler:
    def draw(count: int, rng: np.random.Generator) -> Lengths:
        prompt, output = inner(count, rng)
        return (
            np.clip(prompt, spec.prompt_min, spec.prompt_max),
            np.clip(output, spec.output_min, spec.output_max),
        )

    return draw


def _whole(tokens: FloatArray) -> IntArray:
    return np.maximum(np.rint(tokens), 1.0).astype(np.int64)
