"""The colours of all pictures: those of Okabe and Ito, told apart by the colour-blind.

Each has a name, by which charts ask for it; the page has a light and a dark theme of them, files
for papers are drawn with the light one.
"""

from __future__ import annotations

from collections.abc import Iterable

LIGHT = {
    "ground": "#f4f6f7", "card": "#ffffff", "ink": "#17212b", "soft": "#566470",
    "faint": "#7d8993", "edge": "#dde3e8", "line": "#8793a0", "accent": "#0b6aa2",
    "accent-ink": "#ffffff", "b": "#b3540e", "grid": "#e6eaee", "mark": "#fff6dd",
    # Load over the rating: below 50 %, below 80 %, below 100 %, above it, no rating.
    "h0": "#dcebf5", "h1": "#9fcae6", "h2": "#f3c969", "h3": "#d9642c", "none": "#e9edf0",
    # Lines and bars, in the order in which they are taken.
    "s0": "#0072b2", "s1": "#56b4e9", "s2": "#e69f00", "s3": "#d55e00",
    "s4": "#009e73", "s5": "#cc79a7", "s6": "#8a939b", "s7": "#5b4a9c",
    # Heat maps, from low to high, and between h1 and h2.
    "c0": "#f5f8fa", "c1": "#7fb3d8", "c2": "#08406b", "c3": "#5b9cc9",
}  # fmt: skip
DARK = {
    "ground": "#101519", "card": "#191f24", "ink": "#e9eef2", "soft": "#a6b3be",
    "faint": "#83909b", "edge": "#2b343c", "line": "#6f7d89", "accent": "#6cb8ec",
    "accent-ink": "#0d1a24", "b": "#e8a05c", "grid": "#29323a", "mark": "#3a3218",
    "h0": "#23394a", "h1": "#2f6690", "h2": "#c0932b", "h3": "#e0703a", "none": "#2a3238",
    "s0": "#4ea6dc", "s1": "#8fd0f5", "s2": "#f0b429", "s3": "#e8784a",
    "s4": "#35c79a", "s5": "#dc9abf", "s6": "#97a2ab", "s7": "#a396e0",
    "c0": "#141b22", "c1": "#2f6690", "c2": "#a8dbf7", "c3": "#8fb8a0",
}  # fmt: skip
LINES = ("s0", "s3", "s4", "s2", "s7", "s5", "s1", "s6")
"""Colours of lines and bars in the order in which they are taken, neighbours well apart."""


def css(theme: dict[str, str], names: Iterable[str] | None = None) -> str:
    """Declarations of CSS variables, such as `--s0:#0072b2`, of all colours or of `names`."""
    return ";".join(f"--{name}:{theme[name]}" for name in names or theme)
