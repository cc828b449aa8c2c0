"""From what a user types to keys of the scenario file: whole paths, tails, names of items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from dcsim.scenario.describe import Key, keys
from dcsim.scenario.models.site import KINDS


@dataclass(frozen=True, slots=True)
class Found:
    """Keys of one path; several where the kinds of a block differ in them."""

    path: str
    keys: tuple[Key, ...]
    kinds: tuple[str, ...]
    """Where each of `keys` holds, such as "kind: poisson, gamma"; empty for everywhere."""


def top() -> list[Found]:
    """The keys of the top of the file."""
    return [found for found in _all() if "." not in found.path]


def below(path: str) -> list[Found]:
    """The keys straight below one."""
    return [
        found
        for found in _all()
        if found.path.startswith(f"{path}.")
        and "." not in found.path[len(path) + 1 :].removeprefix("*.")
    ]


def find(query: str) -> list[Found]:
    """Keys that a user may mean, the likeliest group only; empty where there is none.

    A path may leave out the `*` of lists, name an item (`servers.a100.engine`), name a row of the
    facility by its kind (`row.breaker`), or be the end of one (`max_num_seqs`).
    """
    wanted = [step for step in query.strip().split(".") if step not in ("", "*")]
    wanted = [step for step in wanted if not step.lstrip("-").isdigit()]
    if not wanted:
        return []
    if wanted[0] in KINDS and (len(wanted) > 1):
        wanted = ["facility", *wanted[1:]]
    for matches in (_equal, _named, _tail):
        found = [each for each in _all() if matches(each.path.split("."), wanted)]
        if found:
            return found
    return []


def near(query: str) -> list[str]:
    """Paths like one that is not there, the likeliest first; at most five."""
    steps = [step for step in query.lower().split(".") if step not in ("", "*")]
    if not steps:
        return []
    paths = [found.path for found in _all()]
    plain = {".".join(step for step in path.split(".") if step != "*"): path for path in paths}
    found = [plain[name] for name in get_close_matches(".".join(steps), plain, 3, 0.75)]
    last = {path.rpartition(".")[2] for path in paths}
    for name in get_close_matches(steps[-1], sorted(last), 3, 0.7):
        found += [path for path in paths if path.rpartition(".")[2] == name]
    return list(dict.fromkeys(found))[:5]


@lru_cache(maxsize=1)
def _all() -> list[Found]:
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
    found = []
    for path, groups in by_path.items():
        # One block's kinds, each with the value that chooses it: all are told.
        if len(groups[0]) > 1 and all(len(key.choices) == 1 for key in groups[0]):
            kinds_apart = [[key] for group in groups for key in group]
        else:
            kinds_apart = groups
        around = siblings[path.rpartition(".")[0]]
        everywhere = len(groups) == 1 and {key.kinds for key in groups[0]} == around
        kinds = [_told(group) if not everywhere else "" for group in kinds_apart]
        found.append(Found(path, tuple(group[0] for group in kinds_apart), tuple(kinds)))
    return found


def _told(group: list[Key]) -> str:
    """The innermost choices that lead to keys, told together."""
    last = [key.kinds[-1].partition(": ") for key in group if key.kinds]
    names = dict.fromkeys(value for _, _, value in last)
    return f"{last[0][0]}: {', '.join(names)}" if last else ""


def _alike(one: Key, other: Key) -> bool:
    return (one.type, one.default, one.meaning) == (other.type, other.default, other.meaning)


def _equal(path: Sequence[str], wanted: Sequence[str]) -> bool:
    return [step for step in path if step != "*"] == list(wanted)


def _named(path: Sequence[str], wanted: Sequence[str]) -> bool:
    """The path, where `*` may stand for a name."""
    if not path or not wanted:
        return not path and not wanted
    if path[0] == "*":
        return _named(path[1:], wanted) or _named(path[1:], wanted[1:])
    return path[0] == wanted[0] and _named(path[1:], wanted[1:])


def _tail(path: Sequence[str], wanted: Sequence[str]) -> bool:
    return [step for step in path if step != "*"][-len(wanted) :] == list(wanted)
