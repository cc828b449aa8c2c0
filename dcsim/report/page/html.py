"""One file of HTML: style, script, plotly and data inside, nothing fetched."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from importlib import resources
from typing import Any

from dcsim.report.oneline.svg import STYLE
from dcsim.report.page.pack import compressed
from dcsim.report.palette import DARK, LIGHT, css

SCRIPTS = (
    "core.js",
    "series.js",
    "plots.js",
    "chart.js",
    "grid.js",
    "timeline.js",
    "heat.js",
    "oneline.js",
    "run.js",
    "calculator.js",
    "study.js",
    "main.js",
)
"""In this order: the last one starts the page."""
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath "
    "d='M9 1L3 9h4l-1 6 6-8H8z' fill='%230b6aa2'/%3E%3C/svg%3E"
)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page. `body` is HTML, already escaped."""

    key: str
    title: str
    short: str
    """Its name among the links at the top."""
    body: str


def page(
    title: str,
    description: str,
    facts: str,
    sections: Sequence[Section],
    model: Mapping[str, Any],
    series: str,
    formulas: Mapping[str, str] | None = None,
) -> str:
    """The page. `title` and `description` are plain text, `facts` is HTML; `model` is what the
    script draws from, `series` the packed loads, `formulas` expressions of `page.formula`. Raises
    ValueError for a number that is not finite: what is unknown must be None."""
    links = "".join(f'<a href="#{s.key}">{escape(s.short)}</a>' for s in sections)
    body = "".join(
        f'<section id="{s.key}" aria-labelledby="{s.key}-title">'
        f'<h2 id="{s.key}-title">{escape(s.title)}</h2>{s.body}</section>'
        for s in sections
    )
    lead = f'<p class="lead">{escape(description)}</p>' if description else ""
    lines = ",".join(f"{embedded(name)}:(v)=>{js}" for name, js in (formulas or {}).items())
    script = "\n".join((*map(asset, SCRIPTS[:-1]), f"D.formulas={{{lines}}};", asset(SCRIPTS[-1])))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="dcsim"><title>{escape(title)} · dcsim</title>
<link rel="icon" href="{ICON}">
<style>:root{{color-scheme:light;{css(LIGHT)}}}
:root[data-theme=dark]{{color-scheme:dark;{css(DARK)}}}
{asset("page.css")}{STYLE}</style></head>
<body><a class="skip" href="#main">Skip to the figures</a>
<header class="top"><div class="head"><div><p class="mark">dcsim</p><h1>{escape(title)}</h1>
{lead}<p class="facts">{facts}</p></div>
<div class="tools"><button type="button" id="theme">Dark</button>
<button type="button" id="print">Print</button></div></div></header>
<div class="ways"><nav aria-label="Parts of this report">{links}</nav></div>
<noscript><p class="note">Charts and tables need JavaScript; the summary, the diagram and the notes
do not.</p></noscript>
<p class="note" id="failure" role="alert" hidden></p>
<main id="main">{body}</main>
<footer>Made by dcsim. This file holds all that it shows and fetches nothing.</footer>
<script type="application/json" id="model">{embedded(model)}</script>
<script type="text/plain" id="series">{series}</script>
<script type="text/plain" id="plotly">{plotly()}</script>
<script>{script}</script></body></html>
"""


def embedded(data: Any) -> str:
    """JSON that cannot end the script element that it stands in."""
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def asset(name: str) -> str:
    """A file of `dcsim/report/assets`."""
    return (resources.files("dcsim.report") / "assets" / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def plotly() -> str:
    """plotly's script, packed: 1.5 MB become 0.7."""
    return compressed(asset("plotly/plotly-cartesian.min.js").encode())
