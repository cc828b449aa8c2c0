"""Parts of the page's HTML that several sections have."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from html import escape

from dcsim.evidence import EVIDENCE

MEANING = {
    "measured": "stands on measurements of this very configuration",
    "fitted": "a model fitted to measurements, used within their range",
    "assumed": "a constant that nobody measured here",
    "extrapolated": "carried over from another model or GPU",
    "unknown": "the file does not say",
}


COLUMN, NUMBER, HOT = '<th scope="col"', ' class="n"', ' class="hot"'


class Html(str):
    """A text that is HTML already; other texts are escaped."""


def html_table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: Container[int] = (),
    hot: Container[int] = (),
) -> str:
    """A table that scrolls where it is wide.

    Parameters
    ----------
    heads
        Names of the columns; none for a table without a head.
    numbers
        Columns of numbers, to the right.
    hot
        Rows that are marked.
    """

    def line(start: str, end: str, cells: Sequence[str]) -> str:
        return "".join(
            f"{start}{NUMBER if i in numbers else ''}>"
            f"{cell if isinstance(cell, Html) else escape(cell)}{end}"
            for i, cell in enumerate(cells)
        )

    head = f"<thead><tr>{line(COLUMN, '</th>', heads)}</tr></thead>" if heads else ""
    body = "".join(
        f"<tr{HOT if i in hot else ''}>{line('<td', '</td>', cells)}</tr>"
        for i, cells in enumerate(rows)
    )
    return f'<div class="scroll"><table class="plain">{head}<tbody>{body}</tbody></table></div>'


def card(inside: str, title: str = "") -> str:
    """A framed part of a section; `inside` is HTML."""
    head = f"<h3>{escape(title)}</h3>" if title else ""
    return f'<div class="card">{head}{inside}</div>'


def badge(evidence: str) -> Html:
    """A word, or shares of several, in a frame; what the weakest of them means as a tooltip."""
    words = [word for word in EVIDENCE if word in evidence.replace(",", " ").split()]
    known, text = (words[-1], evidence) if words else ("unknown", "unknown")
    return Html(
        f'<span class="badge {known}" title="{escape(MEANING[known])}">{escape(text)}</span>'
    )


def evidence_table(rows: Iterable[tuple[str, str, str]], missing: str) -> str:
    """What stands behind figures: their names, evidence and sources; `missing` where there are
    none. With the meaning of each kind of evidence."""
    lines = [(name, badge(evidence), source) for name, evidence, source in rows]
    shown = html_table(("figure", "evidence", "source"), lines)
    legend = "".join(f"<li>{badge(name)} {escape(MEANING[name])}</li>" for name in EVIDENCE)
    return (
        shown if lines else f'<p class="note">{escape(missing)}</p>'
    ) + f'<ul class="legend">{legend}</ul>'
