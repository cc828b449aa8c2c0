"""`dcsim protection`: breakers, and what a load of one's own does to them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.exits import refuse
from dcsim.errors import CatalogueError, PlotError, ResultsError, ScenarioError, SeriesError
from dcsim.extras import optional

if TYPE_CHECKING:
    from dcsim.facility.profile import ProfileTrips
    from dcsim.hardware.curves import Curve
    from dcsim.scenario.series import Series

app = typer.Typer(no_args_is_help=True, add_completion=False)
ELECTRONIC = "electronic"


@app.command("curves")
def curves(
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List the time-current curves, their points, and where they come from."""
    from dcsim.hardware.catalogue import load_catalogue

    try:
        known = load_catalogue().curves
    except CatalogueError as error:
        refuse(error)
    if as_json:
        documents = [curve.model_dump(mode="json") for curve in known.values()]
        typer.echo(json.dumps(documents, indent=2))
        return
    for curve in known.values():
        typer.echo(f"{curve.name}: {curve.title}")
        if curve.earliest is not None:
            typer.echo(f"  earliest: {_points(curve.earliest)}")
        typer.echo(f"  latest: {_points(curve.points)}")
        typer.echo(f"  {curve.source.strip()}")
    typer.echo(f"{ELECTRONIC}: electronic trip unit by the defaults of `breaker.electronic`")


@app.command("trip")
def trip(
    profile: Annotated[
        Path,
        typer.Argument(
            metavar="PROFILE.csv",
            help="Columns time_s and load_w. Each load holds until the next row; the last row ends "
            "the profile.",
        ),
    ],
    curve: Annotated[
        str,
        typer.Option(metavar="NAME", help="Of `dcsim protection curves`, or `electronic`."),
    ],
    rating: Annotated[
        str,
        typer.Option(
            metavar="RATING",
            help="The breaker's: '100 kW', or '175 A at 415 V' and '125 kVA' for loads at unity "
            "power factor (or in volt-amperes).",
        ),
    ],
    preload: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Load carried before, as a share of the rating; 0 is cold."
        ),
    ] = 0.0,
    ambient: Annotated[
        float, typer.Option(min=-40.0, max=100.0, help="Ambient temperature in °C.")
    ] = 40.0,
    phases: Annotated[
        int, typer.Option(min=1, max=3, help="Of a rating in amperes; 2: two poles.")
    ] = 3,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE", help="A picture: .png, .svg or .pdf."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Tell when a breaker trips under a load of your own, at the earliest and at the latest."""
    from dcsim.facility.profile import edges, profile_trips
    from dcsim.scenario.series import read_series

    early, late = edges(_curve(curve))
    rating_w = _watts(rating, phases)
    try:
        load = read_series(profile, "load_w")
    except SeriesError as error:
        refuse(error)
    if len(load.time_s) < 2:
        refuse(f"{profile}: one row has no length; give the end of the profile as a second row")
    if load.value.min() < 0.0:
        # Line 1 is the head.
        line = int(load.value.argmin()) + 2
        refuse(f"{profile}, line {line}: a load below 0 W")
    trips = profile_trips(
        load.time_s, load.value, (early, late), rating_w, preload=preload, ambient_c=ambient
    )
    if out is not None:
        _draw(trips, load, (early, late), rating_w, ambient, out)
    if as_json:
        answer = {
            "profile": str(profile),
            "curve": curve,
            "rating_w": rating_w,
            "preload": preload,
            "ambient_c": ambient,
            "earliest_s": _rounded(trips.earliest_s),
            "latest_s": _rounded(trips.latest_s),
        }
        typer.echo(json.dumps(answer, indent=2))
        return
    typer.echo(f"{curve} of {rating_w / 1e3:g} kW, {_state(preload)}, at {ambient:g} °C")
    _print_trips(trips)
    if out is not None:
        typer.echo(f"Picture: {out}")


@app.command("run")
def run(
    result: Annotated[Path, typer.Argument(metavar="RESULT.h5", help="Results of a run.")],
    node: Annotated[str, typer.Option(help="The node whose breaker it is.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE", help="A picture: .png, .svg or .pdf.")
    ],
) -> None:
    """Draw what a run's recorded load was to a node's breaker: both edges, whatever was played."""
    import numpy as np

    from dcsim.facility.breakers import SETTLING_S
    from dcsim.facility.curves import curve_of
    from dcsim.facility.profile import profile_trips
    from dcsim.hardware.catalogue import load_catalogue
    from dcsim.plant.topology import Topology
    from dcsim.results import Results
    from dcsim.scenario import loads
    from dcsim.scenario.series import Series
    from dcsim.spec.nearest import suggestion

    try:
        with Results.open(result) as results:
            topology = Topology.build(loads(results.scenario_yaml).facility)
            at = topology.find(node)
            name, kind = topology.names[at], topology.kinds[at]
            recorded = results.load_w(kind, nodes=[name])[name]
    except (ResultsError, ScenarioError, OSError) as error:
        refuse(error)
    except KeyError:
        refuse(f"--node: there is no node '{node}' ({suggestion(node, topology.names)})")
    spec = topology.specs[at]
    if spec.breaker is None:
        refuse(f"--node: {name} has no breaker")
    rating_w = spec.breaker.rating_w or float(topology.rating_w[at])
    known, ups = load_catalogue().curves, kind == "ups"
    early, late = (
        curve_of(spec.breaker, known, ups=ups, band=band) for band in ("earliest", "latest")
    )
    ends_s, watts = recorded.index.to_numpy(dtype=float), recorded.to_numpy(dtype=float)
    step_s = float(ends_s[0])
    load = Series(np.concatenate([[0.0], ends_s]), np.append(watts, watts[-1]))
    preload = spec.breaker.preload
    if preload is None:  # as in the run
        first = watts[: max(1, round(SETTLING_S / step_s))] / rating_w
        preload = min(float(np.sqrt((first**2).mean())), 1.0)
    trips = profile_trips(
        load.time_s, load.value, (early, late), rating_w,
        preload=preload, ambient_c=spec.breaker.ambient_c,
    )  # fmt: skip
    _draw(trips, load, (early, late), rating_w, spec.breaker.ambient_c, out)
    typer.echo(f"{name}: breaker of {rating_w / 1e3:g} kW, {_state(preload)}")
    _print_trips(trips)
    if spec.rated_at_output:
        typer.echo("  by what it drew, its losses included; in the run it was judged by its output")
    typer.echo(f"Picture: {out}")


def _print_trips(trips: ProfileTrips) -> None:
    for name, at_s, never in (
        ("earliest", trips.earliest_s, "never: none of its kind trips under this load"),
        ("latest", trips.latest_s, "never: one of its kind may hold this load"),
    ):
        typer.echo(f"  {name} trip: {never if at_s is None else f'{at_s:,.2f} s ({_clock(at_s)})'}")


def _rounded(at_s: float | None) -> float | None:
    """To the microsecond."""
    return None if at_s is None else round(at_s, 6)


def _points(points: tuple[tuple[float, float], ...]) -> str:
    return ", ".join(f"{seconds:g} s at {multiple:.4g}x" for multiple, seconds in points)


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600} h {whole // 60 % 60:02d} min {whole % 60:02d} s"


def _state(preload: float) -> str:
    return f"after {100 * preload:.0f} % of its rating" if preload else "cold"


def _curve(name: str) -> Curve | None:
    from dcsim.hardware.catalogue import load_catalogue

    if name == ELECTRONIC:
        return None
    try:
        return load_catalogue().curve(name)
    except CatalogueError as error:
        refuse(f"--curve: {error}; `dcsim protection curves` lists them")


def _watts(text: str, phases: int) -> float:
    from pydantic_core import PydanticCustomError

    from dcsim.scenario.models.amperes import rating_w

    try:
        value_w = rating_w(text, phases)
    except PydanticCustomError as error:
        refuse(f"--rating: {error.message()}")
    if not 0.0 < value_w < math.inf:
        refuse(f"--rating: '{text}' must be above 0")
    return value_w


def _draw(
    trips: ProfileTrips,
    load: Series,
    curves: tuple[Curve, Curve],
    rating_w: float,
    ambient_c: float,
    out: Path,
) -> None:
    optional("matplotlib", "a picture")
    from dcsim.report.charts.trip import draw_trip

    try:
        draw_trip(trips, load.time_s, load.value, curves, rating_w, ambient_c, out)
    except (PlotError, OSError) as error:
        refuse(error)
