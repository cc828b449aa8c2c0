"""What is played: a scenario with its seed, known by its content."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from dcsim import registry
from dcsim.results.versions import versions
from dcsim.scenario.dump import resolved
from dcsim.scenario.models import Scenario, Spec

OUTCOME_VERSION = 3
"""Of what an outcome holds: raised whenever that changes."""
NOT_PLAYING = ("cli", "data", "lab", "report", "studies")
"""Rooms whose code and tables do not decide what a run gives; all others may."""
CODE = ("*.py", "*.yaml", "*.h5")


@dataclass(frozen=True)
class Keep:
    """A series to keep of a run: means over `step_s` of all nodes of a kind, in W."""

    kind: str
    step_s: float = 1.0


@dataclass(frozen=True)
class Job:
    """One run, and what is to be kept of it.

    `key` tells two runs apart that may differ, and no others: it covers all keys of the scenario
    but its name and description, the seed, the contents of the files that it names, and the code
    that plays it. Equal keys, equal outcomes: that is what makes a study go on where it stopped.
    """

    scenario: Scenario
    keep: tuple[Keep, ...] = ()
    windows_s: tuple[float, ...] = (1.0, 60.0, 900.0)
    """Averaging times of the load figures, beside the power step."""
    heated: tuple[str, ...] = ()
    """Nodes of which is kept how near they came to a trip (`dcsim.studies.heating`)."""
    trip_window_s: float = 900.0
    """A mean over this above the rating is taken for a trip of those without a breaker."""

    @property
    def label(self) -> str:
        """The run in words, for messages."""
        return f"run of '{self.scenario.name}', seed {self.scenario.seed}"

    @cached_property
    def key(self) -> str:
        """The hash of the job, 64 hexadecimal digits."""
        data = resolved(self.scenario)
        for unimportant in ("name", "description"):
            data.pop(unimportant, None)
        content = {
            "scenario": data,
            "files": {text: _file_hash(path) for text, path in sorted(_files(data))},
            "keep": sorted((keep.kind, keep.step_s) for keep in self.keep),
            "windows_s": sorted(self.windows_s),
            "heated": [sorted(self.heated), self.trip_window_s if self.heated else None],
            "outcome": OUTCOME_VERSION,
            "code": code_hash(),
            "packages": packages(self.scenario),
        }
        text = json.dumps(content, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


def job(
    scenario: Scenario,
    seed: int,
    keep: tuple[Keep, ...] = (),
    windows_s: tuple[float, ...] = (1.0, 60.0, 900.0),
    *,
    heated: tuple[str, ...] = (),
    trip_window_s: float = 900.0,
) -> Job:
    """A run with a seed of its own. Single requests are not kept: no study asks for them."""
    record = scenario.record.model_copy(update={"requests": False})
    return Job(
        scenario.model_copy(update={"seed": seed, "record": record}),
        keep,
        windows_s,
        heated,
        trip_window_s,
    )


def packages(scenario: Scenario) -> list[list[str]]:
    """Components of other packages that a scenario names: package and contents of the module."""
    blocks: list[Spec] = [scenario.routing, *scenario.control]
    blocks += [stream.arrivals for stream in scenario.workload]
    blocks += [group.power for group in scenario.servers]
    used = {}
    for block in blocks:
        component = registry.packaged(type(block))
        if component is not None:
            module = sys.modules.get(component.factory.__module__)
            file = getattr(module, "__file__", None)
            content = _file_hash(Path(file)) if file else repr(component.factory)
            used[component.kind, component.name] = [component.package, content]
    return [[*key, *what] for key, what in sorted(used.items())]


@lru_cache(maxsize=1)
def code_hash() -> str:
    """Of the version, and of every source, table and pack that a run's figures depend on."""
    folder = Path(__file__).parents[1]
    digest = hashlib.sha256(versions()["dcsim"].encode())
    files = [file for pattern in CODE for file in folder.rglob(pattern)]
    for file in sorted(files):
        if file.relative_to(folder).parts[0] in NOT_PLAYING:
            continue
        digest.update(str(file.relative_to(folder)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _files(part: Any) -> Iterator[tuple[str, Path]]:
    """Texts of a resolved scenario that are paths: these are absolute by then."""
    if isinstance(part, dict):
        for value in part.values():
            yield from _files(value)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _files(value)
    elif isinstance(part, str) and (part.startswith(("/", "\\")) or _drive(part)):
        path = Path(part)
        if path.exists():
            yield part, path


def _drive(part: str) -> bool:
    return part[1:3] in (":\\", ":/")


def _file_hash(path: Path) -> str:
    """Hash a file, or all files right in a folder."""
    if path.is_dir():
        inner = (file for file in sorted(path.iterdir()) if file.is_file())
        parts = "".join(f"{file.name} {_file_hash(file)}\n" for file in inner)
        return hashlib.sha256(parts.encode()).hexdigest()
    stat = path.stat()
    return _content_hash(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _content_hash(path: Path, size: int, changed_ns: int) -> str:
    """Hash a file, read once for as long as its size and time of change stay."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
