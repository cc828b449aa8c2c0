"""The nearest right name, for messages about a wrong one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

LISTED_NAMES = 12
"""More names than this are not listed in a hint."""


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name most like `name`, or None where none is near."""
    known = list(names)
    longer = [known_name for known_name in known if known_name.startswith(name)]
    if name and longer:
        return min(longer, key=len)
    folded = {known_name.lower().replace("_", "-"): known_name for known_name in known}
    matches = get_close_matches(name.lower().replace("_", "-"), list(folded), n=1, cutoff=0.6)
    return folded[matches[0]] if matches else None


def suggestion(name: str, names: Iterable[str]) -> str:
    """A hint: the nearest name, else what there is to choose from; may be empty."""
    known = sorted(set(names))
    name_near = nearest(name, known)
    if name_near is not None:
        return f"did you mean '{name_near}'?"
    if 0 < len(known) <= LISTED_NAMES:
        return "there is " + ", ".join(known)
    return ""


def nearest_few(name: str, names: Iterable[str], count: int = 3) -> str:
    """The names most like `name`, and how many more there are: "a, b, c and 16 others"."""
    known = sorted(set(names))
    likeness = {known_name: SequenceMatcher(None, name, known_name).ratio() for known_name in known}
    near = sorted(known, key=lambda known_name: -likeness[known_name])
    if len(known) <= count + 1:
        return ", ".join(near)
    return f"{', '.join(near[:count])} and {len(known) - count} others"
