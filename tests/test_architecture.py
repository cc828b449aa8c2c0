"""The house's walls: which room may import which, and what product files must not name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "dcsim"

# Work flows from left to right; only the engine knows all who take part.
BELOW = {"spec", "hardware", "scenario"}
RESOLVED = {*BELOW, "plant"}
PLAYED = {*RESOLVED, "workload", "serving", "power", "facility", "control", "results"}
MAY_IMPORT: dict[str, set[str]] = {
    "spec": set(),
    "hardware": {"spec"},
    "scenario": {"spec", "hardware"},
    "plant": BELOW,
    "workload": BELOW,
    "serving": RESOLVED | {"workload"},
    "power": RESOLVED,
    "facility": RESOLVED,
    "control": RESOLVED,
    "results": RESOLVED | {"workload"},
    "loading": RESOLVED | {"workload", "power", "control"},
    "engine": PLAYED | {"loading"},
    "lab": RESOLVED | {"workload", "serving", "power"},
    "studies": PLAYED - {"control"} | {"loading", "engine"},
    "report": RESOLVED | {"facility", "engine", "results", "studies"},
    "data": set(),
    "cli": PLAYED | {"loading", "engine", "lab", "studies", "report", "data"},
}
NEUTRAL = {
    "dcsim.arrays",
    "dcsim.clock",
    "dcsim.compiled",
    "dcsim.errors",
    "dcsim.evidence",
    "dcsim.extras",
    "dcsim.files",
    "dcsim.interrupts",
    "dcsim.ledger",
    "dcsim.records",
    "dcsim.registry",
    "dcsim.request_columns",
    "dcsim.seeds",
    "dcsim.stamps",
}
"""Ground between the rooms, which imports none of them."""
FRONT_DOOR = {"dcsim"}
"""The package itself offers names of all rooms; only commands may go in by it."""


CONVENIENCES = {("results", "dcsim.report.plots")}
"""Imports upward that a method of a public class makes when it is called: `Results.plot`."""


def imported(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything of ours that a module imports, at any depth, for
    type checking only, or by name (`import_module("dcsim.engine")`)."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            # `from dcsim import power` is the room, `from dcsim.power import GRU` a name in it.
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "dcsim" else [base]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value] if re.fullmatch(r"dcsim(\.\w+)+", node.value) else []
        for name in names:
            if name.partition(".")[0] == "dcsim":
                yield node.lineno, name


def trespasses(source: str, package: str) -> list[str]:
    """What a module of a room imports and may not."""
    own = package.split(".")[1]
    found = []
    for line, name in imported(source, package):
        room = [*name.split("."), ""][1]
        if room in MAY_IMPORT:
            allowed = room in {own, *MAY_IMPORT[own]} or (own, name) in CONVENIENCES
        else:
            home = name if name in NEUTRAL else name.rpartition(".")[0] or name
            allowed = home in NEUTRAL or (home in FRONT_DOOR and own == "cli")
        if not allowed:
            found.append(f"line {line}: {name}")
    return found


def modules(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py"))


def test_every_folder_is_a_room() -> None:
    folders = {file.parent.relative_to(PACKAGE).parts[0] for file in PACKAGE.glob("*/**/*.py")}
    assert folders == set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    found = {}
    for file in modules(room):
        package = ".".join(file.parent.relative_to(PROJECT).parts)
        wrong = trespasses(file.read_text(encoding="utf-8"), package)
        if wrong:
            found[str(file.relative_to(PROJECT))] = wrong
    assert found == {}


def test_the_engine_is_wiring_that_can_be_read_in_a_sitting() -> None:
    lines = {
        file.name: len(file.read_text(encoding="utf-8").splitlines()) for file in modules("engine")
    }
    assert sum(lines.values()) < 1000, lines


def test_the_architecture_page_names_files_that_are_there() -> None:
    page = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:dcsim|tests)/[\w/]+(?:\.py)?)`", page))
    assert len(paths) > 15
    assert [path for path in sorted(paths) if not (PROJECT / path).exists()] == []
    rooms = {name for row in re.findall(r"^\| (`.+?) \|", page, re.M) for name in row.split(", ")}
    assert {f"`{room}`" for room in MAY_IMPORT} - rooms == {"`data`"}


def test_neutral_ground_imports_no_room() -> None:
    for name in NEUTRAL:
        file = PROJECT.joinpath(*name.split(".")).with_suffix(".py")
        source = file.read_text(encoding="utf-8")
        assert {home for _, home in imported(source, "dcsim")} <= NEUTRAL


def test_rooms_make_no_circle() -> None:
    left = dict(MAY_IMPORT)
    while left:
        free = [room for room, others in left.items() if not others & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        for room in free:
            del left[room]


@pytest.mark.parametrize(
    ("source", "package", "wrong"),
    [
        ("from dcsim.power.gru import GRU", "dcsim.serving", True),
        ("import dcsim.engine", "dcsim.results", True),
        ("def f():\n    from dcsim import serving", "dcsim.power.packs", True),
        ("from ..facility import watch", "dcsim.control", True),
        ("from ...facility import watch", "dcsim.power.packs", True),
        ("import_module('dcsim.engine')", "dcsim.scenario", True),
        ("from dcsim import load", "dcsim.report", True),
        ("from dcsim import load", "dcsim.cli", False),
        ("from dcsim.ledger import WorkLedger", "dcsim.power", False),
        ("from dcsim import ledger", "dcsim.power", False),
        ("from . import gru", "dcsim.power", False),
        ("from ..features import Features", "dcsim.power.packs", False),
        ("import numpy, simpy", "dcsim.workload", False),
    ],
)
def test_the_walls_are_felt(source: str, package: str, wrong: bool) -> None:
    assert bool(trespasses(source, package)) is wrong


# --- what product files must not name ----------------------------------------------------------

PRODUCT_SUFFIXES = {".py", ".yaml", ".yml", ".toml", ".txt"}
MACHINE_PATH = re.compile(
    r"""(?<![\w.}/~-])/(?:work|root|home|tmp|mnt|data|Users)\b  # folders of one machine
    | \.\./shared | \b[A-Z]:\\\\?Users""",
    re.VERBOSE,
)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")


def product_files() -> list[Path]:
    folders = (PACKAGE, PROJECT / "scenarios")
    return sorted(
        file
        for folder in folders
        for file in folder.rglob("*")
        if file.suffix in PRODUCT_SUFFIXES and "__pycache__" not in file.parts
    )


@pytest.mark.parametrize("pattern", [MACHINE_PATH, UNFINISHED], ids=["paths", "unfinished"])
def test_product_files_are_free_of(pattern: re.Pattern[str]) -> None:
    files = product_files()
    assert len(files) > 60
    found = [
        f"{file.relative_to(PROJECT)}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('DATA = "/work/data.csv"', True),
        ("file: /home/me/trace.csv", True),
        ('Path("../shared/data")', True),
        ("C:\\Users\\me", True),
        ("file: ${DCSIM_DATA}/arrivals/azure.csv", False),
        ("flops / work_s", False),
        ("tokens/data, rows/home", False),
        ("the rate (req/s) of https://example.org/data/x", False),
    ],
)
def test_machine_paths_are_recognised(line: str, found: bool) -> None:
    assert bool(MACHINE_PATH.search(line)) is found


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_every_room_says_what_it_is(room: str) -> None:
    text = (PACKAGE / room / "__init__.py").read_text(encoding="utf-8")
    if text:  # a room without code yet has nothing to say
        assert ast.get_docstring(ast.parse(text))
    else:
        assert modules(room) == [PACKAGE / room / "__init__.py"]


def test_array_types_are_stated_once() -> None:
    """`FloatArray` and its sisters stand in dcsim/arrays.py alone; a type variable's array may
    not, as no fixed name can be given to it."""
    kinds = re.compile(r"NDArray\[(?:np\.(?:float|int64|bool|floating|void|object)|Any)")
    places = [
        f"{file.relative_to(PROJECT)}:{number}"
        for file in PACKAGE.rglob("*.py")
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if kinds.search(line) and file.name != "arrays.py"
    ]
    assert places == []
