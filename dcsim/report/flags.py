"""How events of a run are shown: the colours of their classes, and a mark and words for each kind.

The kinds and their classes are `dcsim.records`'.
"""

from __future__ import annotations

from typing import NamedTuple, TypedDict

from dcsim.records import EVENT_CLASSES, EventClass, EventKind


class ClassStyle(NamedTuple):
    """How events of a class look."""

    label: str
    colour: str
    """In charts, by its name in `dcsim.report.palette`."""
    terminal: str
    """On a terminal: a style of rich."""


CLASS_STYLES: dict[EventClass, ClassStyle] = {
    "outage": ClassStyle("trip or dark", "s3", "bold red"),
    "over-limit": ClassStyle("over a limit", "s2", "yellow"),
    "warning": ClassStyle("warning", "s1", "cyan"),
    "recovery": ClassStyle("back in order", "s4", "green"),
    "action": ClassStyle("policy action", "s7", "magenta"),
}
"""The gravest first."""


class KindStyle(NamedTuple):
    """How events of a kind look."""

    symbol: str
    """In charts: one of plotly's, no two alike within a class."""
    single: str
    plural: str


KIND_STYLES: dict[EventKind, KindStyle] = {
    "trip": KindStyle("x", "trip", "trips"),
    "dark": KindStyle("square", "loss of power", "losses of power"),
    "depleted": KindStyle("triangle-down", "battery depleted", "batteries depleted"),
    "fault": KindStyle("star", "fault", "faults"),
    "overload": KindStyle("triangle-up", "overload", "overloads"),
    "demand": KindStyle("diamond", "crossing of a demand limit", "crossings of demand limits"),
    "ramp": KindStyle("triangle-right", "crossing of a ramp limit", "crossings of ramp limits"),
    "continuous": KindStyle("square", "load over its continuous allowance",
                            "loads over their continuous allowances"),
    "predicted": KindStyle("triangle-up-open", "trip predicted", "trips predicted"),
    "warning": KindStyle("triangle-up-open", "warning", "warnings"),
    "on-battery": KindStyle("hourglass", "time on battery", "times on battery"),
    "bypass": KindStyle("diamond-wide-open", "transfer to a static bypass",
                        "transfers to a static bypass"),
    "redundancy-lost": KindStyle("cross-open", "loss of redundancy", "losses of redundancy"),
    "cooling-lost": KindStyle("star-open", "loss of cooling", "losses of cooling"),
    "transfer": KindStyle("bowtie-open", "transfer", "transfers"),
    "cleared": KindStyle("circle-open", "cleared", "cleared"),
    "restored": KindStyle("circle", "return of power", "returns of power"),
    "repaired": KindStyle("square-open", "repair", "repairs"),
    "reclosed": KindStyle("x-open", "reclosed", "reclosed"),
    "limited": KindStyle("diamond", "limited", "limited"),
    "braked": KindStyle("diamond-x", "braked", "braked"),
    "released": KindStyle("diamond-open", "released", "released"),
}  # fmt: skip


class FlagClass(TypedDict):
    """A class of events for the page's script."""

    label: str
    colour: str
    marks: dict[str, str]
    """Symbol by kind."""


def flag_classes() -> list[FlagClass]:
    """The classes for the page's script, the gravest first."""
    return [
        {
            "label": style.label,
            "colour": style.colour,
            "marks": {kind: KIND_STYLES[kind].symbol for kind in EVENT_CLASSES[name]},
        }
        for name, style in CLASS_STYLES.items()
    ]


def counted(kind: EventKind, count: int) -> str:
    """Such as `3 trips`; a kind of another version stands by its own name."""
    style = KIND_STYLES.get(kind, KindStyle("", kind, kind))
    return f"{count:,} {style.single if count == 1 else style.plural}"
