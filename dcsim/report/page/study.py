"""The page of a study, from its folder: the answer in words, pictures, tables, every input.

The folder's layout is the contract of docs/studies/format.md; what is not in it is not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from dcsim.report.charts.model import Chart
from dcsim.report.charts.page import to_json
from dcsim.report.charts.study import study_charts, table_named
from dcsim.report.figure_names import format_figure, title_of
from dcsim.report.page.formula import javascript
from dcsim.report.page.html import Section, page
from dcsim.report.page.pack import Packer
from dcsim.report.page.parts import Html, badge, card, evidence_table, html_table
from dcsim.report.page.trust import weakest
from dcsim.report.study_file import (
    ConfigurationSource,
    StudyFile,
    TableValues,
    read_study,
    read_tables,
)

TITLES = {
    "sweep": "Sweep",
    "growth": "Growth",
    "sizing": "Sizing",
    "oversubscription": "Oversubscription",
    "policies": "Policies",
    "failover": "Failover",
    "refresh": "Refresh",
    "savings": "Savings",
}
GIVEN = re.compile(r"nameplate_|limit_w$")
"""Figures that follow from labels and ratings alone."""
MOST_CARDS = 6
"""A reader takes in no more at a glance."""
DAY = re.compile(r"\d{4}-\d\d-\d\d")
STATUS = {
    "running": "This study is not finished: the page shows what there is.",
    "stopped": "This study was stopped before its end. The same command goes on with it.",
    "failed": "This study failed.",
}


CALCULATOR = (
    '<div class="card"><p>Change an input; all that hangs on it is worked out anew, here in the '
    "page. What differs from the study's own answer is green. Watts and tokens stay those that "
    'were simulated.</p><form class="form" id="calculator-fields" onsubmit="return false"></form>'
    '<p><button type="button" id="calculator-reset">Back to the study\'s inputs</button></p>'
    '<div class="scroll"><table class="plain" aria-live="polite"><thead><tr>'
    '<th scope="col">line</th><th scope="col" class="n">value</th><th scope="col">unit</th>'
    '<th scope="col">formula</th></tr></thead><tbody id="calculator-lines"></tbody></table></div>'
    "</div>"
)


def study_page(folder: Path) -> str:
    """The page as HTML. Raises StudyPageError."""
    study = read_study(folder)
    tables = read_tables(folder, study)
    scenario = study.scenario.name or folder.resolve().name
    title = f"{TITLES.get(study.study, study.study.capitalize())}: {scenario}"
    charts = study_charts(study.plots, tables, study.inputs)
    calculates = _calculates(tables)
    model = {
        "page": "study",
        "study": study.study,
        "tables": [asdict(table) for table in tables],
        "charts": {f"plot-{i}": to_json(chart) for i, chart in enumerate(charts)},
    }
    facts = [
        f"study of {study.scenario.file}",
        f"{study.runs.used} run{'' if study.runs.used == 1 else 's'}" if study.runs.used else "",
        f"dcsim {study.versions.get('dcsim', '')}",
    ]
    sections = [Section("answer", "Answer", "Answer", _answer(study, tables))]
    if charts:
        sections.append(Section("pictures", "Pictures", "Pictures", _frames(charts)))
    if calculates:
        sections.append(Section("calculator", "Calculator", "Calculator", CALCULATOR))
    if tables:
        sections.append(Section("tables", "Tables", "Tables", _table_frames(tables)))
    sections.append(Section("inputs", "Every input", "Inputs", _inputs(study)))
    sections.append(Section("trust", "How far to trust this", "Trust", _trust(study)))
    facts_html = " · ".join(escape(fact) for fact in facts if fact)
    formulas = _formulas(tables) if calculates else {}
    return page(title, "", facts_html, sections, model, Packer().text(), formulas)


def _calculates(tables: Sequence[TableValues]) -> bool:
    """Whether there are inputs, and lines with formulas over them."""
    columns = {table.name: {column.name for column in table.columns} for table in tables}
    return {"name", "value", "unit", "origin", "about"} <= columns.get("inputs", set()) and {
        "name",
        "value",
        "unit",
        "formula",
    } <= columns.get("lines", set())


def _answer(study: StudyFile, tables: Sequence[TableValues]) -> str:
    status = STATUS.get(study.status, "")
    if study.error:
        status += f" {study.error}"
    note = f'<p class="warn" role="status">{escape(status)}</p>' if status else ""
    headline = "".join(f"<p>{_unbroken(line)}</p>" for line in study.headline)
    shares = next((model.watts for model in study.evidence if model.watts), None)
    evidence = shares or weakest([row.evidence or "unknown" for row in _provenance(study)])
    simulated = _simulated(tables)
    known = {
        name: value
        for name, value in study.figures.items()
        if value is not None and not isinstance(value, dict)
    }
    cards = [(card.figure, card.words) for card in study.cards if card.figure in known]
    if not cards:
        cards = [(name, title_of(name)) for name in list(known)[:MOST_CARDS]]
    tiles = "".join(
        f'<div class="tile"><dt>{escape(words)}</dt><dd><span class="value">'
        f"{escape(format_figure(name, known[name]))}</span>"
        f"{_mark(name, evidence, simulated)}</dd></div>"
        for name, words in cards[:MOST_CARDS]
        if len(format_figure(name, known[name])) <= 40
    )
    rows = [(name, format_figure(name, value)) for name, value in known.items()]
    every = (
        '<details class="card"><summary>All figures, by their names in study.json</summary>'
        f"{html_table((), rows)}</details>" if rows else ""
    )  # fmt: skip
    return (
        f'{note}<div class="headline">{headline}</div><dl class="tiles">{tiles}</dl>'
        f'<div class="pair">{_list("Why", study.reasons)}'
        f"{_list('How sure', study.uncertainty)}</div>{every}"
    )


def _unbroken(line: str) -> str:
    """HTML, in which no day is broken at a line's end."""
    return DAY.sub(r'<span class="whole">\g<0></span>', escape(line))


def _mark(name: str, evidence: str, simulated: Mapping[str, bool]) -> str:
    """A figure's badge: what follows from given figures alone stands on no power model."""
    if simulated.get(name, not GIVEN.match(name)):
        return badge(evidence)
    return '<span class="badge given" title="no simulated watt is in it">from what was given</span>'


def _simulated(tables: Sequence[TableValues]) -> dict[str, bool]:
    """Of every line with a formula: whether an input from the run is in it, at any remove."""
    if not _calculates(tables):
        return {}
    inputs, lines = (table_named(tables, name) for name in ("inputs", "lines"))
    assert inputs is not None and lines is not None
    # A tariff's mean price is weighted by the run's load, but prices are not watts.
    rows = zip(inputs.values("name"), inputs.values("origin"), strict=True)
    known = {str(name): origin == "run" for name, origin in rows}
    for name, formula in zip(lines.values("name"), lines.values("formula"), strict=True):
        parts = re.findall(r"[A-Za-z_]\w*", str(formula))
        known[str(name)] = any(known.get(part, True) for part in parts)
    return known


def _list(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return card(f"<ul>{items}</ul>", title)


def _formulas(tables: Sequence[TableValues]) -> dict[str, str]:
    """The lines' formulas for the page's script, by name."""
    lines = table_named(tables, "lines")
    assert lines is not None
    rows = zip(lines.values("name"), lines.values("formula"), strict=True)
    return {str(name): javascript(str(formula)) for name, formula in rows}


def _frames(charts: Sequence[Chart]) -> str:
    return "".join(
        f'<div class="card"><h3>{escape(chart.title)}</h3>'
        f'<div class="chart" id="plot-{i}" role="img" aria-label="{escape(chart.title)}"></div>'
        f'<p class="small" id="plot-{i}-note"></p></div>'
        for i, chart in enumerate(charts)
    )


def _table_frames(tables: Sequence[TableValues]) -> str:
    """Those with columns for a first look open; the others, long ones for files, folded."""
    some_shown = any(table.shown for table in tables)
    frames = []
    for i, table in enumerate(tables):
        title = escape(table.title)
        frame = (
            f'<div class="bar"><label>Find <input type="search" id="table-{i}-find" '
            f'placeholder="words"></label><button type="button" id="table-{i}-all" '
            f'aria-pressed="false" hidden>All columns</button>'
            f'<span class="small" id="table-{i}-count" role="status"></span></div>'
            f'<div class="scroll tall" tabindex="0" role="region" aria-label="{title}, scrollable">'
            f'<table id="table-{i}" class="plain"></table></div>'
        )
        if some_shown and not table.shown:
            rows = f"{table.rows:,} row{'s' * (table.rows != 1)}"
            frames.append(
                f'<details class="card"><summary>{title} ({rows})</summary>{frame}</details>'
            )
        else:
            frames.append(f'<div class="card"><h3>{title}</h3>{frame}</div>')
    return "".join(frames)


def _inputs(study: StudyFile) -> str:
    rows = [(name, Html(_input(name, value))) for name, value in study.inputs.items()]
    rows = rows or [("None is in the folder yet.", Html(""))]
    return card(html_table(("input", "value"), rows)) + (
        '<details class="card"><summary>The scenario, with everything that it leaves unsaid'
        f"</summary><pre>{escape(study.scenario.yaml)}</pre></details>"
    )


def _input(name: str, value: Any) -> str:
    """HTML: what has parts as a list of them."""
    if isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
        parts = "".join(f"<li>{_input(name, part)}</li>" for part in value)
        return f'<ul class="parts">{parts}</ul>'
    if isinstance(value, dict) and value:
        parts = "".join(
            f"<li>{escape(str(key))}: {_input(str(key), part)}</li>" for key, part in value.items()
        )
        return f'<ul class="parts">{parts}</ul>'
    return escape(format_figure(name, value))


def _provenance(study: StudyFile) -> list[ConfigurationSource]:
    return [row for model in study.evidence for row in model.provenance]


def _trust(study: StudyFile) -> str:
    rows = [
        (f"GPU power of {row.configuration or 'an unnamed GPU'}", row.evidence or "unknown",
         row.source or "")
        for row in _provenance(study)
    ]  # fmt: skip
    versions = ", ".join(f"{k} {v}" for k, v in study.versions.items())
    evidence = evidence_table(rows, "The folder names no power model.")
    return card(f'{evidence}<p class="small">{escape(versions)}</p>')
