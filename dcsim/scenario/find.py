"""From what a user types to keys of the scenario file: whole paths, tails, names of items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from dcsim.scenario.describe import Key, keys
from dcsim.scenario.models.site import KINDS


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """Keys of one path; several where the kinds of a block differ in them."""

    path: str
    keys: tuple[Key, ...]
    kinds: tuple[str, ...]
    """Where each of `keys` holds, such as "kind: poisson, gamma"; empty for everywhere."""


def top() -> list[KeyEntry]:
    """The keys of the top of the file."""
    return [entry for entry in _all() if "." not in entry.path]


def below(path: str) -> list[KeyEntry]:
    """The keys straight below one."""
    return [
        entry
        for entry in _all()
        if entry.path.startswith(f"{path}.")
        and "." not in entry.path[len(path) + 1 :].removeprefix("*.")
    ]


def find(query: str) -> list[KeyEntry]:
    """Keys that a user may mean, the likeliest group only; empty where there is none.

    A path may leave out the `*` of lists, name an item (`servers.a100.engine`), name a row of the
    facility by its kind (`row.breaker`), or be the end of one (`max_num_seqs`).
    """
    steps = [
        step
        for step in query.strip().split(".")
        if step not in ("", "*") and not step.lstrip("-").isdigit()
    ]
    if not steps:
        return []
    if steps[0] in KINDS and (len(steps) > 1):
        steps = ["facility", *steps[1:]]
    for matches in (_equal, _named, _tail):
        entries = [entry for entry in _all() if matches(entry.path.split("."), steps)]
        if entries:
            return entries
    return []


def near(query: str) -> list[str]:
    """Paths like one that is not there, the likeliest first; at most five."""
    steps = [step for step in query.lower().split(".") if step not in ("", "*")]
    if not steps:
        return []
    paths = [entry.path for entry in _all()]
    plain = {".".join(step for step in path.split(".") if step != "*"): path for path in paths}
    alike = [plain[name] for name in get_close_matches(".".join(steps), plain, 3, 0.75)]
    last = {path.rpartition(".")[2] for path in paths}
    for name in get_close_matches(steps[-1], sorted(last), 3, 0.7):
        alike += [path for path in paths if path.rpartition(".")[2] == name]
    return list(dict.fromkeys(alike))[:5]


@lru_cache(maxsize=1)
def _all() -> list[KeyEntry]:
    by_path: dict[str, list[list[Key]]] = {}
    siblings: dict[str, set[tuple[str, ...]]] = {}
    for key in keys():
        groups = by_path.setdefault(key.path, [])
        for group in groups:
            if _alike(key, group[0]):
                group.append(key)
                break
        else:
            groups.append([key])
        siblings.setdefault(key.path.rpartition(".")[0], set()).add(key.kinds)
    entries = []
    for path, groups in by_path.items():
        # One block's kinds, each with the value that chooses it: all are listed.
        if len(groups[0]) > 1 and all(len(key.choices) == 1 for key in groups[0]):
            kinds_apart = [[key] for group in groups for key in group]
        else:
            kinds_apart = groups
        around = siblings[path.rpartition(".")[0]]
        everywhere = len(groups) == 1 and {key.kinds for key in groups[0]} == around
        kinds = [_innermost(group) if not everywhere else "" for group in kinds_apart]
        entries.append(KeyEntry(path, tuple(group[0] for group in kinds_apart), tuple(kinds)))
    return entries


def _innermost(group: list[Key]) -> str:
    """The innermost choices that lead to keys, together."""
    last = [key.kinds[-1].partition(": ") for key in group if key.kinds]
    names = dict.fromkeys(value for _, _, value in last)
    return f"{last[0][0]}: {', '.join(names)}" if last else ""


def _alike(key: Key, other: Key) -> bool:
    return (key.type, key.default, key.meaning) == (other.type, other.default, other.meaning)


def _equal(path: Sequence[str], steps: Sequence[str]) -> bool:
    return [step for step in path if step != "*"] == list(steps)


def _named(path: Sequence[str], steps: Sequence[str]) -> bool:
    """The path, where `*` may stand for a name."""
    if not path or not steps:
        return not path and not steps
    if path[0] == "*":
        return _named(path[1:], steps) or _named(path[1:], steps[1:])
    return path[0] == steps[0] and _named(path[1:], steps[1:])


def _tail(path: Sequence[str], steps: Sequence[str]) -> bool:
    return [step for step in path if step != "*"][-len(steps) :] == list(steps)
