"""`dcsim show`: a scenario with everything that it leaves unsaid, and its tree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from dcsim.cli.exits import error_text, refuse
from dcsim.cli.open import Duration, Overrides, ScenarioPath, Seed, open_file
from dcsim.cli.outline import Outline, outline
from dcsim.facility.limit_words import label
from dcsim.facility.limits import stated_limits
from dcsim.files import atomic_write
from dcsim.plant import Plant
from dcsim.report.text import plural_kind
from dcsim.scenario.dump import dump, resolved
from dcsim.scenario.models import FacilityNode, Scenario
from dcsim.scenario.models.amperes import volt_amperes
from dcsim.spec.units import VOLT_AMPERE, WATT, WATT_HOUR

LIMIT_KEYS = ("node", "node_kind", "kind", "limit_w", "window_s", "windows", "rule")
"""Of a limit, what is known before a run; docs/results-format.md says what they are."""


def show(
    scenario: ScenarioPath,
    set_: Overrides = None,
    seed: Seed = None,
    duration: Duration = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    svg: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.svg", help="Draw the one-line diagram there, and print nothing else."
        ),
    ] = None,
) -> None:
    """Print a scenario with all defaults filled in, and its power tree with ratings."""
    checked = open_file(scenario, set_, seed, duration)
    site = outline(checked)
    if svg is not None:
        _draw(checked, site, svg)
        return
    if as_json:
        limits = stated_limits(Plant.build(checked))
        content = {
            "scenario": resolved(checked),
            "facility": list(_rows(site)),
            "limits": [{key: row[key] for key in LIMIT_KEYS} for row in limits],
        }
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    typer.echo(dump(checked))
    _print_tree(site)
    _print_limits(checked)


def _print_limits(checked: Scenario) -> None:
    """What must not be crossed, of all kinds: limits alike in one line."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    alike: dict[tuple[str, str, str], list[str]] = {}
    for row in stated_limits(Plant.build(checked)):
        alike.setdefault((label(row), row["rule"], row["node_kind"]), []).append(row["node"])
    table = Table(box=None, pad_edge=False, title="limits", title_justify="left")
    for column in ("limit", "of", "by"):
        table.add_column(column)
    for (text, rule, kind), nodes in alike.items():
        more = (
            f" and {len(nodes) - 1:,} more {plural_kind(kind, len(nodes) - 1)}"
            if len(nodes) > 1
            else ""
        )
        table.add_row(Text(text), Text(nodes[0] + more), Text(rule))
    if not alike:
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=140)
    console.print()
    console.print(table)


def _draw(checked: Scenario, site: Outline, path: Path) -> None:
    from dcsim.report.oneline import draw, of_table

    nameplate_w = {row["name"]: row["nameplate_w"] for row in _rows(site)}
    try:
        atomic_write(path, draw(of_table(checked, nameplate_w)))
    except OSError as error:
        refuse(f"--svg: {error_text(error)}")
    typer.echo(f"One-line diagram: {path}")


def _rows(item: Outline) -> Iterator[dict[str, Any]]:
    """The outline as a table; sums are those of one copy."""
    node = item.node
    yield {
        "name": node.name,
        "kind": node.kind,
        "parent": node.parent,
        "count": node.count,
        "copies": item.copies,
        "rating_w": item.rating_w,
        "servers": item.servers,
        "nameplate_w": item.nameplate_w,
        "nameplate_alone_w": item.alone_w,
        "shared": item.shared,
        "group": node.group,
        "curve": node.breaker.curve if node.breaker else None,
    }
    for child in item.children:
        yield from _rows(child)


def _print_tree(site: Outline) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    every = list(_items(site))
    fed_twice = any(len(item.node.above) > 1 for item in every)
    stored = any(item.node.battery for item in every)
    table = Table(
        box=None, pad_edge=False, title="facility, watts of one copy", title_justify="left"
    )
    table.add_column("node", no_wrap=True)
    # What may be long wraps, so that nothing is cut off.
    table.add_column("rating", justify="right", min_width=9)
    for column in ("nameplate", "nameplate/\nrating", "servers", "copies"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("breaker", min_width=16, overflow="fold")
    if fed_twice:
        table.add_column("partners\nlost", justify="right", no_wrap=True)
        table.add_column("also fed by", min_width=13, overflow="fold")
    if stored:
        table.add_column("battery", no_wrap=True)

    def add(item: Outline, lead: str, branch: str) -> None:
        node = item.node
        name = node.name if node.kind in node.name else f"{node.name} ({node.kind})"
        cells = [
            lead + branch + name + (f" x {node.count}" if node.count > 1 else ""),
            _rating(node),
            _watts(item.nameplate_w),
            "unknown" if item.rating_w is None else f"{item.nameplate_w / item.rating_w:.2f}",
            f"{item.servers} shared" if item.shared else str(item.servers),
            str(item.copies),
            _breaker(node),
        ]
        if fed_twice:
            cells.append(_watts(item.alone_w) if item.shared else "")
            more = ", ".join(node.above[1:])
            cells.append(f"{more} ({node.transfer})" if more else "")
        if stored:
            battery = node.battery
            cells.append(
                f"{_watts(battery.power_w)},\n{WATT_HOUR.format(battery.energy_wh)}"
                if battery else ""
            )  # fmt: skip
        table.add_row(*map(Text, cells))
        below = lead + {"": "", "├ ": "│ ", "└ ": "  "}[branch]
        for child in item.children:
            add(child, below, "└ " if child is item.children[-1] else "├ ")

    add(site, "", "")
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=140)
    console.print(table)


def _items(item: Outline) -> Iterator[Outline]:
    yield item
    for child in item.children:
        yield from _items(child)


def _rating(node: FacilityNode) -> str:
    """In W, in VA, or in both."""
    parts = [] if node.rating_w is None else [_watts(node.rating_w)]
    if node.apparent_rating_va is not None:
        text = VOLT_AMPERE.format(float(f"{node.apparent_rating_va:.4g}"))
        if node.voltage_v is not None and node.phases is not None:
            amperes = node.apparent_rating_va / volt_amperes(1.0, node.voltage_v, node.phases)
            text += f" ({amperes:.4g} A at {node.voltage_v:g} V)"
        parts.append(text)
    return ",\n".join(parts) or "unknown"


def _breaker(node: FacilityNode) -> str:
    breaker = node.breaker
    if breaker is None:
        return "none"
    shape = (
        "own points" if breaker.points else "electronic" if breaker.electronic else breaker.curve
    )
    return shape if breaker.rating_w is None else f"{shape}, {_watts(breaker.rating_w)}"


def _watts(watts: float) -> str:
    return WATT.format(round(watts, 3))
