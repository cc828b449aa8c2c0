"""When requests come: processes, recordings, and what changes the rate of any of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dcsim.spec.base import Fraction, Name, Spec, refused
from dcsim.spec.paths import FilePath
from dcsim.spec.registered import Registered
from dcsim.spec.units import (
    RequestsPerSecond,
    RequestsPerSecondOrZero,
    Seconds,
    SecondsOrZero,
    TimeOfDay,
)

Factor = Annotated[float, Field(ge=0, le=1000)]
"""Multiplies a rate."""

DAY_S = 86400.0
AMPLITUDE = 0.3
PEAK_AT_S = 14 * 3600.0


# --- what changes a rate ---------------------------------------------------------------------


class Spike(Spec):
    """The rate is multiplied for a while. It rises in a straight line over `ramp_up`, stays for
    `duration` and falls over `ramp_down`."""

    at_s: SecondsOrZero = Field(alias="at")
    """When it begins to rise, from the start of the run."""
    duration_s: Seconds = Field(alias="duration")
    """At full height, without the ramps."""
    factor: Factor
    """What the rate is multiplied by at full height."""
    ramp_up_s: SecondsOrZero = Field(default=0.0, alias="ramp_up")
    """How long it takes to rise."""
    ramp_down_s: SecondsOrZero = Field(default=0.0, alias="ramp_down")
    """How long it takes to fall."""


class Ramp(Spec):
    """The rate goes in a straight line to `factor` times itself, and stays there."""

    at_s: SecondsOrZero = Field(alias="at")
    """When it begins, from the start of the run."""
    duration_s: Seconds = Field(alias="duration")
    """How long it takes."""
    factor: Factor
    """What the rate is multiplied by at its end, and from then on."""


class GrowthPoint(Spec):
    """The rate's factor at one time."""

    at_s: SecondsOrZero = Field(alias="at")
    """From the start of the run."""
    factor: Factor
    """What the rate is multiplied by then."""


class Growth(Spec):
    """The rate is multiplied by `per_day` each day or by `per_month` each month (365.25 / 12
    days), steadily; or as a table says: straight between its points, level outside them."""

    per_day: float | None = Field(default=None, gt=0, le=100)
    """Factor of each day, steadily."""
    per_month: float | None = Field(default=None, gt=0, le=100)
    """Factor of each month of 30.4 days, steadily."""
    table: tuple[GrowthPoint, ...] = ()
    """Factors at times: straight between them, level outside."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = (self.per_day is not None) + (self.per_month is not None) + bool(self.table)
        if given != 1:
            raise refused("give one of `per_day`, `per_month` and `table`")
        if any(low.at_s >= high.at_s for low, high in pairwise(self.table)):
            raise refused("the times of `table` must rise")
        return self


class Changing(Spec):
    """Base of all arrivals: what multiplies their rate, all of it together."""

    spikes: tuple[Spike, ...] = ()
    """Times at which the rate rises and falls again."""
    ramps: tuple[Ramp, ...] = ()
    """Times at which it goes to another level, and stays."""
    growth: Growth | None = None
    """Steady growth, or a table of it."""


# --- processes -------------------------------------------------------------------------------


class PoissonArrivals(Changing):
    """Memoryless arrivals at one rate."""

    kind: Literal["poisson"]
    rate_per_s: RequestsPerSecond = Field(alias="rate")
    """Mean rate."""


class GammaArrivals(Changing):
    """Independent gaps with a Gamma distribution."""

    kind: Literal["gamma"]
    rate_per_s: RequestsPerSecond = Field(alias="rate")
    """Mean rate."""
    burstiness: float | None = Field(default=None, ge=0.001, le=10_000)
    """The Gamma shape, as in vLLM's benchmark: 1 is Poisson, less is burstier. This or `cv`."""
    cv: float | None = Field(default=None, ge=0.01, le=30)
    """Instead of `burstiness`: standard deviation over mean of the gaps, 1 / √burstiness."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.burstiness is None) == (self.cv is None):
            raise refused("give one of `burstiness` and `cv`")
        return self


class WeibullArrivals(Changing):
    """Independent gaps with a Weibull distribution, whose tail is longer than the Gamma's."""

    kind: Literal["weibull"]
    rate_per_s: RequestsPerSecond = Field(alias="rate")
    """Mean rate."""
    shape: float | None = Field(default=None, ge=0.1, le=100)
    """1 is Poisson, less is burstier. This or `cv`."""
    cv: float | None = Field(default=None, ge=0.02, le=100)
    """Instead of `shape`: standard deviation over mean of the gaps."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.shape is None) == (self.cv is None):
            raise refused("give one of `shape` and `cv`")
        return self


class MmppState(Spec):
    """One state of a Markov-modulated Poisson process."""

    rate_per_s: RequestsPerSecondOrZero = Field(alias="rate")
    """Rate in this state; may be 0."""
    mean_dwell_s: Annotated[Seconds, Field(ge=0.01)] = Field(alias="mean_dwell")
    """How long the state lasts on average; exponential."""


class MmppArrivals(Changing):
    """Poisson arrivals whose rate jumps among states; after each, any other is as likely."""

    kind: Literal["mmpp"]
    states: tuple[MmppState, ...] = Field(min_length=1, max_length=100)
    """2 or more; after each, any other is as likely."""

    @model_validator(mode="after")
    def _states(self) -> Self:
        if len(self.states) < 2:
            raise refused("`states` must be two or more; with one rate, take `kind: poisson`")
        if not any(state.rate_per_s > 0 for state in self.states):
            raise refused("one of the states must have a rate above 0")
        return self


class DiurnalArrivals(Changing):
    """Poisson arrivals whose rate follows the day, t seconds into the run:
    rate(t) = mean (1 + amplitude cos(2 pi (t + start - peak) / period)), or mean times a table of
    hourly factors; and times the factor of the weekday."""

    kind: Literal["diurnal"]
    mean_rate_per_s: RequestsPerSecond = Field(alias="mean_rate")
    """Mean over a period."""
    amplitude: float = Field(default=AMPLITUDE, ge=0, le=1)
    """Swing of the rate around its mean, as a share of it."""
    period_s: Seconds = Field(default=DAY_S, alias="period")
    """Of the swing."""
    peak_at_s: TimeOfDay = Field(default=PEAK_AT_S, alias="peak_at")
    """Time of day of the peak: `20:00`, or `20 h`."""
    start_at_s: TimeOfDay | None = Field(default=None, alias="start_at")
    """Time of day at which the run starts. None: that of the scenario's `start`, or midnight."""
    start_day: Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"] | None = None
    """Weekday on which the run starts. None: that of the scenario's `start`, or Monday."""
    hours: tuple[Factor, ...] | None = None
    """24 factors of `mean_rate`, at 0:00, 1:00 and so on, straight between them: instead of
    `amplitude` and `peak_at`. For `mean_rate` to be the mean, theirs must be 1."""
    weekdays: tuple[Factor, ...] | None = None
    """7 factors, Monday to Sunday, from midnight to midnight."""

    @model_validator(mode="after")
    def _tables(self) -> Self:
        if self.hours is not None and len(self.hours) != 24:
            raise refused("`hours` must be 24 factors, from midnight on")
        if self.weekdays is not None and len(self.weekdays) != 7:
            raise refused("`weekdays` must be 7 factors, from Monday on")
        tables = [table for table in (self.hours, self.weekdays) if table is not None]
        if tables and self.period_s != DAY_S:
            raise refused("`hours` and `weekdays` need a `period` of 24 h")
        if any(max(table) == 0 for table in tables):
            raise refused("one of the factors must be above 0")
        # By value, not by what was written: a scenario is also read back with all its defaults.
        if self.hours is not None and (self.amplitude, self.peak_at_s) != (AMPLITUDE, PEAK_AT_S):
            raise refused("`hours` stand instead of `amplitude` and `peak_at`")
        return self


# --- clients ---------------------------------------------------------------------------------


class ServegenArrivals(Changing):
    """Many clients at once, each as measured window by window: a folder of ServeGen's files."""

    kind: Literal["servegen"]
    folder: FilePath
    """Has a file `chunk-*-trace.csv` a client, without header: window start in seconds, rate, CV,
    `Gamma` or `Weibull`, shape, scale."""
    rate_scale: float = Field(default=1.0, gt=0, le=1000)
    """Multiplies all rates."""
    from_s: SecondsOrZero = Field(default=0.0, alias="from")
    """Time in the recording at which the run starts."""
    loop: bool = False
    """Start again where the recording ends; otherwise nothing comes after."""
    one_client_in: int = Field(default=1, ge=1)
    """Take the first of every so many clients."""


class ClientsArrivals(Changing):
    """Many clients at once, made up after a shipped fit of measured ones."""

    kind: Literal["clients"]
    name: Name
    """A shipped fit: `servegen-m-small` (a general language service, two weeks) or
    `servegen-deepseek-r1` (a reasoning service, one day)."""
    rate_per_s: RequestsPerSecond | None = Field(default=None, alias="rate")
    """Mean of all clients together; None: the fit's own."""
    clients: int | None = Field(default=None, ge=1, le=10_000)
    """How many; more of them are smoother together. None: as many as were measured."""
    start_at_s: TimeOfDay | None = Field(default=None, alias="start_at")
    """Time in the fit's day or week at which the run starts. None: the time of day of the
    scenario's `start`, or midnight."""


# --- recordings ------------------------------------------------------------------------------

TraceFormat = Literal[
    "azure-2023",
    "azure-2024",
    "burstgpt",
    "mooncake",
    "bailian",
    "vllm",
    "dcsim",
    "csv",
    "jsonl",
    "parquet",
]
OWN_FORMATS = ("csv", "jsonl", "parquet")
"""Whose columns a user may name."""
TIMELESS_UNITS = ("azure-2023", "azure-2024", "dcsim")
"""Whose times have one unit only."""


class TraceColumns(Spec):
    """What the columns of a log of one's own are called; those left out are known by the names
    that serving tools use, or found to be missing."""

    time: str | None = None
    """When the request arrived: a number (see `time_unit`), or a date and time, with a zone or
    without."""
    prompt: str | None = None
    """Tokens of the prompt."""
    output: str | None = None
    """Tokens of the answer; 0 or nothing where the request failed."""
    model: str | None = None
    """The model that was asked; for `only_model`."""


class ReplayArrivals(Changing):
    """Requests from a recorded file, tokens included."""

    kind: Literal["replay"]
    file: FilePath
    """`${VAR}` is replaced from the environment; relative paths start at the scenario file."""
    format: TraceFormat = "azure-2023"
    """Columns of the file, listed in docs/scenario-format.md; `dcsim validate` reads it
    through."""
    rate_scale: float = Field(default=1.0, gt=0, le=1000)
    """Traffic multiplier."""
    scaling: Literal["repeat", "compress"] = "repeat"
    """`repeat`: above 1, requests are repeated with a small jitter; below 1, thinned: the minutes
    stay what they were. `compress`: time is divided by `rate_scale`: the order and relative gaps
    stay."""
    from_s: SecondsOrZero = Field(default=0.0, alias="from")
    """Time in the trace, from its first request, at which the run starts."""
    until_s: Seconds | None = Field(default=None, alias="until")
    """Time in the trace at which the replay ends. None: the file's end."""
    loop: bool = False
    """Start again where the trace ends, until the run is over."""
    sample: Fraction = 1.0
    """Fraction of the requests that is played, by chance."""
    on_error: Literal["stop", "skip"] = "stop"
    """`stop`: a row that cannot be read ends it. `skip`: it is left out and counted."""
    columns: TraceColumns | None = None
    """`csv`, `jsonl` and `parquet` only: what the file calls its columns. None: all by names that
    are known."""
    time_unit: Literal["s", "ms", "us", "ns"] | None = None
    """Of times that are numbers. None: ms for `mooncake`; for a log of one's own, what the
    column's name ends with (`arrival_ms`); else s, or what the size of unix times tells."""
    block_tokens: int | None = Field(default=None, ge=1, le=65_536)
    """`mooncake` and `bailian` only: tokens of the blocks that `hash_ids` count. None: 512 and
    16."""
    sort_within_s: SecondsOrZero = Field(default=600.0, alias="sort_within")
    """Rows that come up to so much after later ones are put in order, as in logs that are written
    when requests end; one that comes later still is wrong."""
    failed: Literal["drop", "keep"] = "drop"
    """`burstgpt` and logs of one's own: requests with a response of 0 tokens are left out and
    counted (`drop`), or played with one token (`keep`)."""
    only_model: str | None = None
    """`burstgpt` and logs of one's own: play this model's requests. None: those of all."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.until_s is not None and self.until_s <= self.from_s:
            raise refused("`until` must be later than `from`")
        special = self.failed != "drop" or self.only_model is not None
        if special and self.format not in ("burstgpt", *OWN_FORMATS):
            raise refused(
                "`failed` and `only_model` are for `burstgpt`, `csv`, `jsonl` and `parquet` only"
            )
        if self.columns is not None and self.format not in OWN_FORMATS:
            raise refused("`columns` are for `format: csv`, `jsonl` and `parquet` only")
        if self.block_tokens is not None and self.format not in ("mooncake", "bailian"):
            raise refused("`block_tokens` is for `format: mooncake` and `bailian` only")
        if self.time_unit is not None and self.format in TIMELESS_UNITS:
            raise refused(f"`time_unit` is for times that are numbers, not for {self.format}")
        return self


Arrivals = Annotated[
    PoissonArrivals
    | GammaArrivals
    | WeibullArrivals
    | MmppArrivals
    | DiurnalArrivals
    | ServegenArrivals
    | ClientsArrivals
    | ReplayArrivals,
    Field(discriminator="kind"),
    Registered("arrivals", Changing),
]
