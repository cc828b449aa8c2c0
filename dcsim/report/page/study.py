"""The page of a study, from its folder: the answer in words, pictures, tables, every input.

The folder's layout is the contract of docs/studies/format.md; what is not in it is not guessed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from dcsim.report.page.html import Section, page
from dcsim.report.page.pack import Packer
from dcsim.report.page.trust import EVIDENCE, MEANING, badge, weakest
from dcsim.report.text import UNKNOWN, percent, watt_hours, watts

FORMAT, FORMAT_VERSION = "dcsim-study", 1
MOST_ROWS = 5000
"""Rows of one table in the page; the folder has them all."""
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


class StudyPageError(ValueError):
    """A folder that is no study, or a damaged one; the message says what is wrong."""


def study_page(folder: Path) -> str:
    """The page as HTML. Raises StudyPageError."""
    study = _read(folder)
    tables = [_table(folder, table) for table in study.get("tables", [])]
    name = str(study.get("study", ""))
    scenario = study.get("scenario") or {}
    title = f"{TITLES.get(name, name.capitalize())}: {scenario.get('name', folder.name)}"
    asked = [_plot(plot, tables) for plot in study.get("plots", [])]
    plots = [plot for plot in asked if plot is not None]
    model = {
        "page": "study",
        "study": name,
        "tables": tables,
        "plots": plots,
    }
    used = (study.get("runs") or {}).get("used")
    facts = [
        f"study of {scenario.get('file', '')}",
        f"{used} runs" if used else "",
        f"dcsim {(study.get('versions') or {}).get('dcsim', '')}",
    ]
    sections = [Section("answer", "Answer", "Answer", _answer(study))]
    if plots:
        sections.append(Section("pictures", "Pictures", "Pictures", _frames(plots)))
    if _calculates(tables):
        sections.append(Section("calculator", "Calculator", "Calculator", CALCULATOR))
    if tables:
        sections.append(Section("tables", "Tables", "Tables", _table_frames(tables)))
    sections.append(Section("inputs", "Every input", "Inputs", _inputs(study)))
    sections.append(Section("trust", "How far to trust this", "Trust", _trust(study)))
    told = " · ".join(escape(fact) for fact in facts if fact)
    return page(title, "", told, sections, model, Packer().text())


def _read(folder: Path) -> dict[str, Any]:
    try:
        study = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyPageError(f"{folder}: no study.json here, so this is no study") from None
    except (OSError, ValueError) as error:
        raise StudyPageError(f"{folder}/study.json: damaged ({error})") from None
    if not isinstance(study, dict) or study.get("format") != FORMAT:
        raise StudyPageError(f"{folder}/study.json: not one of dcsim's studies")
    if study.get("format_version", 0) > FORMAT_VERSION:
        raise StudyPageError(
            f"{folder}: format version {study['format_version']}; this dcsim reads up to "
            f"{FORMAT_VERSION}"
        )
    return study


def _table(folder: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """A table's columns as lists; numbers as numbers, what is unknown as None."""
    try:
        files = [str(file) for file in table["files"] if str(file).endswith(".csv")]
        frame = pd.read_csv(folder / files[0], nrows=MOST_ROWS, keep_default_na=False,
                            na_values=[""])  # fmt: skip
        columns = [
            {
                "name": str(column["name"]),
                "about": str(column.get("about", "")),
                "values": [_cell(value) for value in frame[column["name"]].tolist()],
            }
            for column in table["columns"]
        ]
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise StudyPageError(f"{folder}: damaged table {table.get('name')} ({error})") from None
    return {
        "name": str(table["name"]),
        "title": str(table.get("title") or table["name"]),
        "rows": int(table.get("rows", len(frame))),
        "columns": columns,
    }


def _calculates(tables: Sequence[Mapping[str, Any]]) -> bool:
    """Whether there are inputs, and lines with formulas over them."""
    columns = {table["name"]: {c["name"] for c in table["columns"]} for table in tables}
    return {"name", "value", "unit", "origin", "about"} <= columns.get("inputs", set()) and {
        "name",
        "value",
        "unit",
        "formula",
    } <= columns.get("lines", set())


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value if isinstance(value, int | bool) else str(value)


def _plot(plot: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """A picture whose table and columns are there; None else."""
    places = [i for i, table in enumerate(tables) if table["name"] == plot.get("table")]
    if not places:
        return None
    known = {column["name"] for column in tables[places[0]]["columns"]}
    y = [str(name) for name in plot.get("y", ()) if name in known]
    if plot.get("x") not in known or not y or not tables[places[0]]["columns"][0]["values"]:
        return None
    return {
        "table": places[0],
        "title": str(plot.get("title", "")),
        "kind": str(plot.get("kind", "line")),
        "x": plot["x"],
        "y": y,
        "by": plot.get("by") if plot.get("by") in known else None,
        "limit": plot.get("limit") if plot.get("limit") in known else None,
    }


def told(name: str, value: Any) -> str:
    """A figure as people read it, by the unit at the end of its name."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(told(name, part) for part in value) or "none"
    if not isinstance(value, int | float):
        return str(value)
    if name.endswith("_w"):
        return watts(value)
    if name.endswith("_wh"):
        return watt_hours(value)
    if name.endswith("_kw"):
        return watts(1e3 * value)
    if name.endswith(("_share", "_probability", "_fraction", "_attainment")):
        return percent(value)
    if name.endswith("_s") and not name.endswith("_per_s"):
        return _span(value)
    if isinstance(value, int) or abs(value) >= 1e4:
        return f"{value:,.0f}"
    return f"{value:,.4g}"


def title_of(name: str) -> str:
    """A name without its unit, in words."""
    for unit in ("_w", "_kw", "_wh", "_s", "_share", "_fraction"):
        if name.endswith(unit) and not name.endswith("_per_s"):
            name = name.removesuffix(unit)
            break
    words = name.replace("_per_s", " per second").replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _span(seconds: float) -> str:
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if abs(seconds) >= size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds:.3g} s"


def _answer(study: Mapping[str, Any]) -> str:
    status = STATUS.get(str(study.get("status")), "")
    if study.get("error"):
        status += f" {study['error']}"
    note = f'<p class="warn" role="status">{escape(status)}</p>' if status else ""
    headline = "".join(f"<p>{escape(str(line))}</p>" for line in study.get("headline", ()))
    evidence = _weakest(study)
    tiles = "".join(
        f'<div class="tile"><dt>{escape(title_of(name))}</dt><dd><span class="value">'
        f"{escape(told(name, value))}</span>{badge(evidence)}</dd></div>"
        for name, value in (study.get("figures") or {}).items()
        if value is not None and not isinstance(value, dict) and len(told(name, value)) <= 24
    )
    return (
        f'{note}<div class="headline">{headline}</div><dl class="tiles">{tiles}</dl>'
        f'<div class="pair">{_list("Why", study.get("reasons"))}'
        f"{_list('How sure', study.get('uncertainty'))}</div>"
    )


def _list(title: str, lines: Any) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{escape(str(line))}</li>" for line in lines)
    return f'<div class="card"><h3>{title}</h3><ul>{items}</ul></div>'


def _frames(plots: Sequence[Mapping[str, Any]]) -> str:
    return "".join(
        f'<div class="card"><h3>{escape(plot["title"])}</h3>'
        f'<div class="chart" id="plot-{i}" role="img" aria-label="{escape(plot["title"])}"></div>'
        f'<p class="small" id="plot-{i}-note"></p></div>'
        for i, plot in enumerate(plots)
    )


def _table_frames(tables: Sequence[Mapping[str, Any]]) -> str:
    return "".join(
        f'<div class="card"><h3>{escape(table["title"])}</h3><div class="bar"><label>Find '
        f'<input type="search" id="table-{i}-find" placeholder="words"></label>'
        f'<span class="small" id="table-{i}-count" role="status"></span></div>'
        f'<div class="scroll tall" tabindex="0" role="region" '
        f'aria-label="{escape(table["title"])}, scrollable">'
        f'<table id="table-{i}" class="plain"></table></div></div>'
        for i, table in enumerate(tables)
    )


def _inputs(study: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(_input(name, value))}</td></tr>"
        for name, value in (study.get("inputs") or {}).items()
    )
    text = str((study.get("scenario") or {}).get("yaml", ""))
    return (
        f'<div class="card"><table class="plain"><thead><tr><th scope="col">input</th>'
        f'<th scope="col">value</th></tr></thead><tbody>{rows}</tbody></table></div>'
        f'<details class="card"><summary>The scenario, with everything that it leaves unsaid'
        f"</summary><pre>{escape(text)}</pre></details>"
    )


def _input(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return told(name, value)


def _provenance(study: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    every = study.get("evidence") or ()
    return [row for model in every for row in model.get("provenance", ())]


def _weakest(study: Mapping[str, Any]) -> str:
    return weakest([str(row.get("evidence")) for row in _provenance(study)])


def _trust(study: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>GPU power of {escape(str(row.get('configuration')))}</td>"
        f"<td>{badge(str(row.get('evidence')))}</td><td>{escape(str(row.get('source')))}</td></tr>"
        for row in _provenance(study)
    )
    legend = "".join(f"<li>{badge(name)} {escape(MEANING[name])}</li>" for name in EVIDENCE)
    versions = ", ".join(f"{k} {v}" for k, v in (study.get("versions") or {}).items())
    return (
        '<div class="card"><div class="scroll"><table class="plain"><thead><tr>'
        '<th scope="col">figure</th><th scope="col">evidence</th><th scope="col">source</th></tr>'
        f'</thead><tbody>{rows}</tbody></table></div><ul class="legend">{legend}</ul>'
        f'<p class="small">{escape(versions)}</p></div>'
    )
