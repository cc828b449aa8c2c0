"""How long requests are, and how they hang together in conversations."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dcsim.scenario.models.arrivals import OWN_FORMATS, TraceColumns, TraceFormat
from dcsim.spec.base import Fraction, Name, Spec, refused
from dcsim.spec.paths import FilePath
from dcsim.spec.units import Seconds, SecondsOrZero

MOST_TOKENS = 100_000_000
"""Of one prompt or answer: a hundred times the longest context there is."""


class Clipped(Spec):
    """Base of drawn lengths: what is drawn beyond these is taken for these."""

    prompt_min: int = Field(default=1, ge=1, le=MOST_TOKENS)
    """Shorter prompts are taken for this many tokens."""
    prompt_max: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    """Longer prompts are taken for this many tokens."""
    output_min: int = Field(default=1, ge=1, le=MOST_TOKENS)
    """Shorter answers are taken for this many tokens."""
    output_max: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    """Longer answers are taken for this many tokens."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for low, high in (
            (self.prompt_min, self.prompt_max),
            (self.output_min, self.output_max),
        ):
            if high is not None and low > high:
                raise refused("a minimum must not exceed its maximum")
        return self


class FitTokens(Clipped):
    """Prompt and output lengths from a shipped fit."""

    kind: Literal["fit"]
    name: Name
    """`azure-2023-conv`, `azure-2023-code` or `sharegpt`."""


class FixedTokens(Spec):
    """Every request alike."""

    kind: Literal["fixed"]
    prompt_tokens: int = Field(ge=1, le=MOST_TOKENS, alias="prompt")
    """Tokens of every prompt."""
    output_tokens: int = Field(ge=1, le=MOST_TOKENS, alias="output")
    """Tokens of every answer."""


class LognormalTokens(Clipped):
    """Independent log-normal lengths, given by median and sigma of the logarithm, clipped."""

    kind: Literal["lognormal"]
    prompt_median: float = Field(gt=0, le=MOST_TOKENS)
    """Tokens."""
    prompt_sigma: float = Field(ge=0)
    """Standard deviation of the logarithm."""
    prompt_max: int | None = Field(default=32768, ge=1, le=MOST_TOKENS)
    """Longer prompts are taken for this many tokens."""
    output_median: float = Field(gt=0, le=MOST_TOKENS)
    """Tokens."""
    output_sigma: float = Field(ge=0)
    """Standard deviation of the logarithm."""
    output_max: int | None = Field(default=8192, ge=1, le=MOST_TOKENS)
    """Longer answers are taken for this many tokens."""


class EmpiricalTokens(Clipped):
    """Pairs of lengths drawn from those in a file, each as likely as any other."""

    kind: Literal["empirical"]
    file: FilePath
    """As for a replay: `${VAR}` is replaced from the environment; relative paths start at the
    scenario file."""
    format: TraceFormat | Literal["lengths"] = "lengths"
    """`lengths`: a CSV with the columns `prompt` and `output`; or a format of traces, whose times
    are not looked at."""
    columns: TraceColumns | None = None
    """`csv`, `jsonl` and `parquet` only: what the file calls its columns."""

    @model_validator(mode="after")
    def _own_columns(self) -> Self:
        if self.columns is not None and self.format not in OWN_FORMATS:
            raise refused("`columns` are for `format: csv`, `jsonl` and `parquet` only")
        return self


PlainTokens = Annotated[
    FitTokens | FixedTokens | LognormalTokens | EmpiricalTokens, Field(discriminator="kind")
]


class MixturePart(Spec):
    """One kind of request in a mixture."""

    weight: float = Field(default=1.0, gt=0)
    """Of this kind among the others."""
    tokens: PlainTokens
    """Lengths of this kind: any but a mixture."""


class MixtureTokens(Clipped):
    """Each request is of one of several kinds, by weight."""

    kind: Literal["mixture"]
    parts: tuple[MixturePart, ...] = Field(min_length=1)
    """The kinds, with their weights."""


Tokens = Annotated[
    FitTokens | FixedTokens | LognormalTokens | EmpiricalTokens | MixtureTokens,
    Field(discriminator="kind"),
]


# --- conversations ---------------------------------------------------------------------------


class FixedTurns(Spec):
    """Every conversation has so many turns."""

    kind: Literal["fixed"]
    count: int = Field(ge=1, le=1000)
    """Turns of every conversation."""


class GeometricTurns(Spec):
    """After each turn the conversation goes on with the same chance."""

    kind: Literal["geometric"]
    mean: float = Field(ge=1, le=1000)
    """Before `most` cuts it."""
    most: int = Field(default=100, ge=1, le=1000)
    """Longer conversations are cut here."""


class WeightedTurns(Spec):
    """Chances of 1 turn, 2 turns, and so on, as weights."""

    kind: Literal["weights"]
    weights: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=1, max_length=1000)
    """Of 1, 2, 3 ... turns."""

    @model_validator(mode="after")
    def _weighted(self) -> Self:
        if sum(self.weights) <= 0:
            raise refused("one of the weights must be above 0")
        return self


class FixedThinking(Spec):
    """Always as long."""

    kind: Literal["fixed"]
    time_s: SecondsOrZero = Field(alias="time")
    """From a turn's arrival to the next."""


class ExponentialThinking(Spec):
    """Memoryless."""

    kind: Literal["exponential"]
    mean_s: Seconds = Field(alias="mean")
    """From a turn's arrival to the next."""


class LognormalThinking(Spec):
    """Log-normal, by median and sigma of the logarithm: some come back much later."""

    kind: Literal["lognormal"]
    median_s: Seconds = Field(alias="median")
    """From a turn's arrival to the next."""
    sigma: float = Field(ge=0, le=5)
    """Standard deviation of the logarithm."""


class Sessions(Spec):
    """Conversations: each turn's prompt holds all turns before it, with their answers.

    Turn k + 1 arrives a think time after turn k **arrived**: an open loop, in which a slow answer
    delays nobody.
    """

    share: Fraction = 1.0
    """Of arrivals that begin a conversation; the others ask once."""
    turns: Annotated[FixedTurns | GeometricTurns | WeightedTurns, Field(discriminator="kind")]
    """How many turns a conversation has."""
    think_time: Annotated[
        FixedThinking | ExponentialThinking | LognormalThinking, Field(discriminator="kind")
    ]
    """How long after a turn's arrival the next one comes."""
    max_context: int = Field(default=32768, ge=2, le=MOST_TOKENS)
    """A conversation ends before the turn whose prompt and answer would exceed so many tokens."""
