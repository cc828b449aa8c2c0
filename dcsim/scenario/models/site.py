"""What it all hangs from: the electrical site, its breakers, batteries and cooling, what fails
in it, and when a load is worth a flag."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from dcsim.hardware.curves import Points, falling, rising
from dcsim.scenario.models.amperes import restate
from dcsim.spec.base import Fraction, Name, Spec, refused
from dcsim.spec.paths import FileName
from dcsim.spec.units import (
    BytesPerSecond,
    RatedWatts,
    Seconds,
    SecondsOrZero,
    VoltAmperes,
    Volts,
    WattHours,
    Watts,
    WattsOrZero,
)

Kind = Literal[
    "site",
    "utility",
    "transformer",
    "switchgear",
    "ups",
    "pdu",
    "rpp",
    "busway",
    "row",
    "rack",
    "rack-pdu",
    "branch",
    "server",
]
LEVELS: dict[str, tuple[int, int]] = {
    "site": (0, 0),
    "utility": (1, 1),
    "transformer": (2, 2),
    "switchgear": (2, 2),
    "ups": (3, 3),
    "pdu": (4, 4),
    "rpp": (5, 5),
    "busway": (5, 5),
    "row": (5, 5),
    "rack": (6, 6),
    "rack-pdu": (7, 7),
    "branch": (5, 8),
    "server": (9, 9),
}
"""Where kinds stand from the top down, first and last level; a branch circuit may feed a row's
racks or a rack's servers. Levels may be left out, not swapped; kinds of one level may stand under
each other (transformer and switchgear, row and busway), but not under their own kind."""
KINDS: tuple[Kind, ...] = tuple(LEVELS)  # type: ignore[arg-type]
Phase = Literal["L1", "L2", "L3", "L1-L2", "L2-L3", "L3-L1", "auto"]
UpsMode = Literal["double-conversion", "eco", "line-interactive"]


class Electronic(Spec):
    """An electronic trip unit: long-time (I2t), short-time (definite) and instantaneous, each in
    multiples of the rating."""

    long_pickup: float | None = Field(default=None, ge=1)
    """Long-time pick-up, in multiples of the rating, where it is known exactly. None: from 1.05 at
    the earliest to 1.20 at the latest, the tolerance that makers state."""
    long_delay_s: Seconds = Field(default=10.0, alias="long_delay")
    """At six times the rating, as makers state it; elsewhere I²t is constant."""
    short_pickup: float = Field(default=6.0, gt=1)
    """Short-time pick-up, in multiples of the rating."""
    short_delay_s: Seconds = Field(default=0.3, alias="short_delay")
    """Definite time of the short-time region."""
    instantaneous: float = Field(default=10.0, gt=1)
    """Instantaneous pick-up, in multiples of the rating."""

    @model_validator(mode="after")
    def _ordered(self) -> Electronic:
        long_pickup = 1.2 if self.long_pickup is None else self.long_pickup
        if not long_pickup < self.short_pickup < self.instantaneous:
            raise refused("needs `long_pickup` < `short_pickup` < `instantaneous`")
        if self.long_delay_s * (6.0 / self.short_pickup) ** 2 < self.short_delay_s:
            raise refused("the long delay falls below `short_delay` before `short_pickup`")
        return self


class Breaker(Spec):
    """Protection of one node, or the overload table of its transformer or UPS."""

    curve: Name = "thermal-magnetic"
    """Catalogue name of a time-current curve."""
    points: Points | None = None
    """A curve of your own instead: `[multiple of rating, seconds]`, multiples rising from 1 or
    more, seconds falling or, in a plateau, equal. On a UPS it is its maker's overload table."""
    reading: Literal["line", "table"] | None = None
    """How points are read between their rows: `line`, straight in logarithms, as a time-current
    curve is drawn; `table`, "up to this load for so long", as makers state the overload of a UPS.
    None: `table` on a UPS, `line` elsewhere; a catalogue curve brings its own."""
    electronic: Electronic | None = None
    """An electronic trip unit instead of a curve."""
    band: Literal["earliest", "typical", "latest", "drawn"] = "earliest"
    """Where in its tolerance band it trips: `earliest` (asks "may it trip?"), `typical` (midway, in
    logarithms), `latest` (asks "must it have tripped?"), or `drawn` by chance for each breaker.
    Curves without a band have one time for all."""
    rating_w: RatedWatts | None = Field(default=None, alias="rating")
    """Continuous rating of the breaker, in W, or in A or VA as the node's, with a `power_factor`
    there. None: the node's."""
    ambient_c: float = Field(default=40.0, ge=-40, le=100)
    """Temperature around it, in °C. Thermal-magnetic breakers are rated at 40 °C and carry less in
    a warmer place; electronic units do not feel it."""
    preload: float | None = Field(default=None, ge=0, le=1)
    """What it has carried before the run, as a share of its rating; 0: it is cold. None: what it
    carries in the first five minutes, at the most its rating."""
    on_trip: Literal["open", "flag"] = "open"
    """`open`: what hangs below goes dark; `flag`: only reported."""
    repair_after_s: Seconds | None = Field(default=None, alias="repair_after")
    """Recloses so long after a trip, with what it still remembers. None: never by itself."""

    @model_validator(mode="after")
    def _curved(self) -> Breaker:
        if self.reading is not None and self.points is None:
            raise refused("`reading` goes with `points`")
        if self.points is not None and self.electronic is not None:
            raise refused("has both `points` and `electronic`: choose one")
        if self.points is not None and len(self.points) < 2:
            raise refused("`points` needs two points or more")
        if self.points is not None and not falling(self.points):
            raise refused(
                "`points` must have rising multiples and falling seconds above 0 "
                "(or equal ones: a plateau)"
            )
        if self.points is not None and self.points[0][0] < 1:
            raise refused("`points` begin below 1: a breaker holds its rating for good")
        return self


class Battery(Spec):
    """Storage at a node: carries what hangs below when the supply is lost, and shaves peaks."""

    energy_wh: WattHours = Field(alias="energy")
    """What it holds when full."""
    power_w: Watts = Field(alias="power")
    """Most that it gives; power over energy is its C-rate."""
    efficiency: Fraction = 0.9
    """There and back; all of the loss is taken while charging."""
    charge_w: WattsOrZero = Field(default=0.0, alias="charge")
    """Most that it takes to recharge; 0: it is never recharged."""
    initial: float = Field(default=1.0, ge=0, le=1)
    """State of charge at the start."""
    ride_through: bool = True
    """It carries its node when the supply is lost."""
    shave_above_w: Watts | None = Field(default=None, alias="shave_above")
    """Gives what its node draws beyond this."""
    reserve: float = Field(default=0.0, ge=0, le=1)
    """State of charge that shaving leaves for ride-through."""


class Demand(Spec):
    """A limit on the mean over a window, as a supplier meters it."""

    window_s: Seconds = Field(alias="window")
    """Length of the window."""
    limit_w: Watts | None = Field(default=None, alias="limit")
    """Most that the mean may be."""
    contract: FileName | None = None
    """CSV with columns time_s and limit_w instead: each limit holds from its time on. Times count
    from the start of the run; in a scenario with a `start`, from midnight of its first day, and a
    file of a day or less holds for each day."""
    windows: Literal["sliding", "clock"] = "sliding"
    """`sliding`: means slide with the power steps, as protection feels them; `clock`: blocks that
    begin at whole multiples of the window from midnight, as most suppliers bill, counted from the
    scenario's `start`. Sliding is the default because it is the stricter: no block is above the
    highest sliding mean."""

    @model_validator(mode="after")
    def _one_limit(self) -> Demand:
        if (self.limit_w is None) == (self.contract is None):
            raise refused("needs either `limit` or `contract`")
        return self


class RampLimit(Spec):
    """A limit on how far the load may move, up or down, within a window."""

    change_w: Watts = Field(alias="change")
    """Most that the load may move."""
    window_s: Seconds = Field(alias="window")
    """Within this time."""


class FacilityNode(Spec):
    """A row of the facility table; `count` copies under each copy of `parent`.

    Copies are numbered within their parent and named by path: with `row` (count 2) and `rack`
    under it, the racks are `row-1/rack-1`, and so on. A count of 1 keeps the bare name.
    """

    name: Name
    """Of the node, or of each copy before its number."""
    kind: Kind
    """Level of the node, from the top down; levels may be left out, but not swapped. `branch` is a
    circuit that feeds racks or servers. Kinds of one level (`transformer` and `switchgear`; `rpp`,
    `busway` and `row`) may stand under each other; only switchgear also under its own kind."""
    parent: Name | None = None
    """Name of the row that feeds it; the site has none, all others must name one, or several
    `feeds`."""
    feeds: tuple[Name, ...] | None = None
    """Two or more rows instead of `parent`, the preferred first."""
    transfer: Literal["share", "primary", "static"] = "share"
    """With `feeds`: `share` (equal parts of those that live), `primary` (the first that lives; it
    goes back when it can) or `static` (a static switch: it stays where it is until that feed is
    lost)."""
    transfer_time_s: SecondsOrZero | None = Field(default=None, alias="transfer_time")
    """How long a switch that loses its feed has no output, or a UPS that goes to its battery;
    servers bridge what their power supplies hold (`servers.hold_up`). None: 10 ms (`primary`), 4 ms
    (`static`), no time (`share`); a UPS 4 ms (`eco`), 6 ms (`line-interactive`) or none."""
    count: int = Field(default=1, ge=1, le=1_000_000)
    """Copies under each copy of the parent; one site only."""
    rating_w: RatedWatts | None = Field(default=None, alias="rating")
    """Continuous limit, in W, VA or A: of what a UPS or a transformer puts out, of what any other
    node draws. Amperes need `phases` and a `voltage` (or `800 A at 415 V`); for A and VA the
    servers' `power_factor` counts, or one beside the rating. None: unknown, and never checked."""
    continuous: Fraction | None = None
    """Share of the rating that the node may carry for three hours or more: 80 % of a
    standard-rated breaker, 100 % of a 100 %-rated one. None: 100 % for UPS and transformers, and
    for the site and utilities without a breaker; for all others as `limits.continuous` says."""
    apparent_rating_va: VoltAmperes | None = Field(default=None, alias="apparent_rating")
    """Continuous limit in VA; needs a `power_factor` on servers."""
    group: Name | None = None
    """Servers only, and required there: the server group."""
    breaker: Breaker | None = None
    """Protection of the node."""
    losses: Name | None = None
    """Catalogue name of a loss curve; needs a rating."""
    phases: Literal[1, 2, 3] | None = None
    """1: all of the node's load is on one line; 2: it lies between two lines, as of a two-pole
    208 V circuit. None: 3."""
    phase: Phase | None = None
    """Of a single-phase node: `L1`, `L2`, `L3`; of a two-pole one: `L1-L2`, `L2-L3`, `L3-L1`; or
    `auto`, which deals copies out in turn. None: `auto`."""
    winding: Literal["delta-wye", "wye-wye"] | None = None
    """Of a transformer or PDU: with `delta-wye`, what is on one line below lies between two lines
    above. None: `delta-wye` for a transformer and for a PDU with `losses`, else none."""
    mode: UpsMode | None = None
    """Of a UPS: `double-conversion` draws evenly from its three lines and at unity power factor;
    `eco` and `line-interactive` pass their load's lines on. None: `eco` with losses `ups-eco`, else
    `double-conversion`."""
    bypass: bool | None = None
    """Of a UPS: it has a static bypass, which feeds the load, unprotected, while the UPS has failed
    or is overloaded. None: it has one unless it is `line-interactive`."""
    voltage_v: Volts | None = Field(default=None, alias="voltage")
    """From line to line with `phases: 3` or 2, from line to neutral with 1; for ratings in A."""
    power_factor: Fraction | None = None
    """Of a server; nodes above follow. Beside a rating in A or VA: what that is in watts. None:
    1.0."""
    battery: Battery | None = None
    """Storage at the node."""
    demand: tuple[Demand, ...] = ()
    """Limits on means over a window."""
    ramp: RampLimit | None = None
    """How far the load may move, up or down, within a window."""
    mtbf_s: Seconds | None = Field(default=None, alias="mtbf")
    """Mean time between random failures; goes with `mttr`."""
    mttr_s: Seconds | None = Field(default=None, alias="mttr")
    """Mean time to repair those."""

    @model_validator(mode="before")
    @classmethod
    def _restated(cls, data: Any) -> Any:
        """Ratings in A or VA, by key of the file or by field name."""
        keys = {name: field.alias or name for name, field in cls.model_fields.items()}
        if isinstance(data, dict):
            data = {keys.get(key, key): value for key, value in data.items()}
        return restate(data)

    @model_validator(mode="after")
    def _consistent(self) -> FacilityNode:
        if self.feeds is not None and len(self.feeds) < 2:
            raise refused("needs two feeds or more, or else a `parent`")
        if self.feeds is not None and self.parent is not None:
            raise refused("has both `parent` and `feeds`: choose one")
        if self.feeds is not None and len(set(self.feeds)) < len(self.feeds):
            raise refused("names a feed twice")
        slow = self.transfer_time_s is not None and self.kind != "ups"
        if self.feeds is None and (self.transfer != "share" or slow):
            raise refused("`transfer` needs `feeds`")
        if self.phase is not None and self.phases not in (1, 2):
            raise refused("`phase` needs `phases: 1` or `phases: 2`")
        if self.phase not in (None, "auto") and ("-" in (self.phase or "")) != (self.phases == 2):
            raise refused("`phases: 1` is on L1, L2 or L3; `phases: 2` on L1-L2, L2-L3 or L3-L1")
        if self.kind != "ups" and not (self.mode is None and self.bypass is None):
            raise refused("only a UPS has a `mode` and a `bypass`")
        if self.kind not in ("transformer", "pdu") and self.winding is not None:
            raise refused("only transformers and PDUs have a `winding`")
        if (self.mtbf_s is None) != (self.mttr_s is None):
            raise refused("`mtbf` and `mttr` go together")
        if self.power_factor is not None and self.kind != "server":
            raise refused("only servers have a `power_factor`, and ratings in A or VA")
        return self

    @property
    def ups_mode(self) -> UpsMode | None:
        """How a UPS works; None for all else."""
        if self.kind != "ups":
            return None
        return self.mode or ("eco" if self.losses == "ups-eco" else "double-conversion")

    @property
    def has_bypass(self) -> bool:
        """Whether this is a UPS with a static bypass."""
        if self.kind != "ups":
            return False
        return self.ups_mode != "line-interactive" if self.bypass is None else self.bypass

    @property
    def delta_wye(self) -> bool:
        """Whether this is a transformer, or a PDU with one, from delta above to wye below."""
        if self.winding is not None:
            return self.winding == "delta-wye"
        return self.kind == "transformer" or (self.kind == "pdu" and self.losses is not None)

    @property
    def rated_at_output(self) -> bool:
        """Whether the rating is that of what the node puts out: a UPS, a transformer, or a PDU
        that has one. Elsewhere it is that of what the node draws."""
        return self.kind in ("ups", "transformer") or (
            self.kind == "pdu" and self.losses is not None
        )

    @property
    def above(self) -> tuple[str, ...]:
        """Names of the rows it is fed from, the preferred first; empty for the site."""
        if self.feeds is not None:
            return self.feeds
        return () if self.parent is None else (self.parent,)


class Limits(Spec):
    """When a load is worth a flag."""

    continuous: Literal["nec", "iec"] = "nec"
    """By which code nodes without a `continuous` of their own carry loads of three hours or more:
    `nec`, 80 % of a standard-rated breaker (NEC 210.20(A), 215.3), or `iec`, the rated current
    (IEC 60364-4-43, 433.1; a maker's rated diversity factor by IEC 61439 is a `continuous` of the
    node)."""
    warning_fraction: Fraction = 0.8
    """Share of every rating from which a load is worth a warning."""
    warning_after_s: SecondsOrZero = Field(default=60.0, alias="warning_after")
    """How long a load must stay above it before it is flagged."""
    overload_after_s: SecondsOrZero = Field(default=0.0, alias="overload_after")
    """How long a load must stay above the rating."""
    predict_within_s: SecondsOrZero = Field(default=300.0, alias="predict_within")
    """A trip this near, at the present load, is flagged; 0: never."""


class Fault(Spec):
    """Something that fails, or is put right, at a time."""

    at_s: SecondsOrZero = Field(alias="at")
    """When, from the start of the run."""
    fail: str | None = None
    """Name of the node that fails, as results have it, or its last steps where only one node has
    them: `ups-b` for `utility-b/ups-b`."""
    restore: str | None = None
    """Instead of `fail`: ends all faults of a node and closes its breaker."""
    repair_after_s: Seconds | None = Field(default=None, alias="repair_after")
    """When that fault ends. None: never."""
    with_bypass: bool = False
    """Of a UPS that has a static bypass: this fails too, so that the load is dropped."""

    @model_validator(mode="after")
    def _one_deed(self) -> Fault:
        if (self.fail is None) == (self.restore is None):
            raise refused("needs either `fail` or `restore`")
        if self.restore is not None and self.repair_after_s is not None:
            raise refused("`repair_after` goes with `fail`")
        if self.restore is not None and self.with_bypass:
            raise refused("`with_bypass` goes with `fail`")
        return self


class Restart(Spec):
    """How servers come back when they have power again."""

    group: int | None = Field(default=None, ge=1)
    """So many servers at a time. None: all."""
    every_s: SecondsOrZero = Field(default=0.0, alias="every")
    """Time from one group to the next."""
    inrush: float = Field(default=4.0, ge=1)
    """Factor on a server's draw for `inrush_for` after it is switched on. The default is the middle
    of the 3 to 5 that a maker of rack PDUs gives for servers of 8 GPUs."""
    inrush_for_s: SecondsOrZero = Field(default=0.05, alias="inrush_for")
    """How long the inrush lasts; the default is the longest that the same source gives (20 to
    50 ms)."""
    boot_s: SecondsOrZero = Field(default=300.0, alias="boot")
    """From power to a running system. The default is assumed: two minutes until the management
    controller answers (NVIDIA, DGX GB200 user guide), three for self-test and operating system."""
    load_s: SecondsOrZero | None = Field(default=None, alias="load")
    """From there to serving: reading the weights of its replicas. None: by `load_bandwidth`."""
    load_bandwidth_bytes_s: BytesPerSecond = Field(default=1.8e9, alias="load_bandwidth")
    """Rate at which a server reads weights, its replicas one after the other. The default is what
    vLLM reads from a local NVMe disk: 13 and 26 GB in 7.3 and 16 s (its pull request 10647)."""


class Cooling(Spec):
    """Cooling as a load of the site: (PUE - 1) x IT load. Electrical losses are not part of this
    PUE where nodes have `losses` of their own."""

    pue: float = Field(default=1.0, ge=1)
    """Constant PUE of cooling."""
    by_load: Points = ()
    """Instead of `pue`: list of `[IT load over design load, PUE]`."""
    design_load_w: Watts | None = Field(default=None, alias="design_load")
    """IT load that counts as 1 in `by_load`."""
    by_temperature: Points = ()
    """List of `[outdoor temperature in °C, factor on PUE − 1]`."""
    temperature_c: float | None = None
    """Constant outdoor temperature."""
    weather: FileName | None = None
    """CSV with columns time_s and temperature_c, interpolated. Times count from the start of the
    run; in a scenario with a `start`, from midnight of its first day, and a file of a day or less
    holds for each day."""
    at: str | tuple[str, ...] | dict[str, Fraction] | None = None
    """Node that feeds the plant, a list of nodes, or nodes with their shares of it, such as
    `{utility-a: 0.6, utility-b: 0.4}`; those without power leave theirs to the others. Without
    shares it is split as the IT load is. None: the lowest utilities and transformers, or the
    site."""

    @property
    def feeds(self) -> dict[str, float | None] | None:
        """Names of the nodes that feed the plant, with their shares where stated; None: the usual
        ones."""
        if self.at is None or isinstance(self.at, dict):
            return None if self.at is None else {name: share for name, share in self.at.items()}
        return dict.fromkeys((self.at,) if isinstance(self.at, str) else self.at)

    @model_validator(mode="after")
    def _readable(self) -> Cooling:
        if self.at is not None and not self.at:
            raise refused("`at` names no node")
        if isinstance(self.at, tuple) and len(set(self.at)) < len(self.at):
            raise refused("`at` names a node twice")
        if isinstance(self.at, dict) and abs(sum(self.at.values()) - 1.0) > 1e-6:
            raise refused("the shares of `at` must sum to 1")
        if not rising(self.by_load) or not rising(self.by_temperature):
            raise refused("the first numbers of the points must rise")
        if any(pue < 1 for _, pue in self.by_load):
            raise refused("a PUE in `by_load` is below 1")
        if any(factor < 0 for _, factor in self.by_temperature):
            raise refused("a factor in `by_temperature` is below 0")
        if self.by_load and self.design_load_w is None:
            raise refused("`by_load` needs `design_load`")
        if self.temperature_c is not None and self.weather is not None:
            raise refused("has both `temperature_c` and `weather`: choose one")
        known = self.temperature_c is not None or self.weather is not None
        if bool(self.by_temperature) != known:
            raise refused("`by_temperature` goes with `temperature_c` or `weather`")
        return self
