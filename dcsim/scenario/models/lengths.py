"""How long requests are, and how they hang together in conversations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from dcsim.scenario.models.arrivals import TraceFormat
from dcsim.scenario.models.base import Fraction, Name, Spec
from dcsim.scenario.units import Seconds, SecondsOrZero


class Clipped(Spec):
    """Base of drawn lengths: what is drawn beyond these is taken for these."""

    prompt_min: int = Field(default=1, ge=1)
    prompt_max: int | None = Field(default=None, ge=1)
    output_min: int = Field(default=1, ge=1)
    output_max: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for low, high in (
            (self.prompt_min, self.prompt_max),
            (self.output_min, self.output_max),
        ):
            if high is not None and low > high:
                raise PydanticCustomError("order", "a minimum must not exceed its maximum")
        return self


class FitTokens(Clipped):
    """Prompt and output lengths from a shipped fit."""

    kind: Literal["fit"]
    name: Name


class FixedTokens(Spec):
    """Every request alike."""

    kind: Literal["fixed"]
    prompt_tokens: int = Field(ge=1, alias="prompt")
    output_tokens: int = Field(ge=1, alias="output")


class LognormalTokens(Clipped):
    """Independent log-normal lengths, given by median and sigma of the logarithm, clipped."""

    kind: Literal["lognormal"]
    prompt_median: float = Field(gt=0)
    prompt_sigma: float = Field(ge=0)
    prompt_max: int | None = Field(default=32768, ge=1)
    output_median: float = Field(gt=0)
    output_sigma: float = Field(ge=0)
    output_max: int | None = Field(default=8192, ge=1)


class EmpiricalTokens(Clipped):
    """Pairs of lengths drawn from those in a file, each as likely as any other."""

    kind: Literal["empirical"]
    file: Path
    format: TraceFormat | Literal["lengths"] = "lengths"
    """`lengths`: a CSV with the columns `prompt` and `output`; or a format of traces."""


PlainTokens = Annotated[
    FitTokens | FixedTokens | LognormalTokens | EmpiricalTokens, Field(discriminator="kind")
]


class MixturePart(Spec):
    """One kind of request in a mixture."""

    weight: float = Field(default=1.0, gt=0)
    tokens: PlainTokens


class MixtureTokens(Clipped):
    """Each request is of one of several kinds, by weight."""

    kind: Literal["mixture"]
    parts: tuple[MixturePart, ...] = Field(min_length=1)


Tokens = Annotated[
    FitTokens | FixedTokens | LognormalTokens | EmpiricalTokens | MixtureTokens,
    Field(discriminator="kind"),
]


# --- conversations ---------------------------------------------------------------------------


class FixedTurns(Spec):
    """Every conversation has so many turns."""

    kind: Literal["fixed"]
    count: int = Field(ge=1, le=1000)


class GeometricTurns(Spec):
    """After each turn the conversation goes on with the same chance."""

    kind: Literal["geometric"]
    mean: float = Field(ge=1, le=1000)
    """Before `most` cuts it."""
    most: int = Field(default=100, ge=1, le=1000)


class WeightedTurns(Spec):
    """Chances of 1 turn, 2 turns, and so on, as weights."""

    kind: Literal["weights"]
    weights: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if sum(self.weights) <= 0:
            raise PydanticCustomError("order", "one of the weights must be above 0")
        return self


class FixedThinking(Spec):
    """Always as long."""

    kind: Literal["fixed"]
    time_s: SecondsOrZero = Field(alias="time")


class ExponentialThinking(Spec):
    """Memoryless."""

    kind: Literal["exponential"]
    mean_s: Seconds = Field(alias="mean")


class LognormalThinking(Spec):
    """Log-normal, by median and sigma of the logarithm: some come back much later."""

    kind: Literal["lognormal"]
    median_s: Seconds = Field(alias="median")
    sigma: float = Field(ge=0, le=5)


class Sessions(Spec):
    """Conversations: each turn's prompt holds all turns before it, with their answers.

    Turn k + 1 arrives a think time after turn k **arrived**: an open loop, in which a slow answer
    delays nobody.
    """

    share: Fraction = 1.0
    """Of the arrivals that could, so many begin a conversation; the others ask once."""
    turns: Annotated[FixedTurns | GeometricTurns | WeightedTurns, Field(discriminator="kind")]
    think_time: Annotated[
        FixedThinking | ExponentialThinking | LognormalThinking, Field(discriminator="kind")
    ]
    max_context: int = Field(default=32768, ge=2)
    """A conversation ends before the turn whose prompt and answer would exceed so many tokens."""
