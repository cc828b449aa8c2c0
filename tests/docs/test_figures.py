"""Figures in the README and the pages come from the commands printed above them, option for
option."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.page_commands import (
    PAGES,
    PROJECT,
    Command,
    Figures,
    PageError,
    Player,
    commands_in,
    digest,
    figures_of,
)
from benchmarks.pages import MAKERS, TABLES, every, filled, made

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
QUICKEST = "nameplate"
"""The figures that are made anew here; all are by `python -m benchmarks.pages`."""
CLOSE = 0.03
"""Other processors round otherwise; other code, packs or scenarios move figures by more."""
BLOCKS = every()


def named(found: Figures) -> str:
    return f"{found.page.relative_to(PROJECT)}:{found.name}"


def test_every_block_is_made_and_every_maker_has_a_block() -> None:
    assert {found.name for found in BLOCKS} == MAKERS.keys()


@pytest.mark.parametrize("found", BLOCKS, ids=named)
def test_the_commands_above_are_those_that_made_it(found: Figures) -> None:
    assert found.digest == digest(found.commands), f"python -m benchmarks.pages {found.name}"
    assert len(found.body.splitlines()) > 2


@pytest.mark.parametrize("found", [one for one in BLOCKS if one.name in TABLES], ids=named)
def test_each_row_has_its_command(found: Figures) -> None:
    labels = [command.label for command in found.commands]
    assert all(labels), "a comment for each row: dcsim run ...  # label"
    assert len(set(labels)) == len(labels)
    if found.digest == digest(found.commands):
        told = [line.split(" | ")[0].removeprefix("| ") for line in found.body.splitlines()[2:]]
        assert told == labels


def test_the_same_figures_stand_below_the_same_commands_everywhere() -> None:
    by_name: dict[str, set[tuple[str, str]]] = {}
    for found in BLOCKS:
        by_name.setdefault(found.name, set()).add((digest(found.commands), found.body))
    for name, copies in by_name.items():
        assert len(copies) == 1, name


def test_what_is_told_is_of_this_version() -> None:
    """The first row of one table, played anew."""
    found = next(one for one in BLOCKS if one.name == QUICKEST)
    now = made(replace(found, commands=found.commands[:1]))
    before = "".join(found.body.splitlines(keepends=True)[:3])
    assert NUMBER.sub("#", before) == NUMBER.sub("#", now)
    numbers = [
        [float(number.replace(",", "")) for number in NUMBER.findall(text)]
        for text in (before, now)
    ]
    assert numbers[1] == pytest.approx(numbers[0], rel=CLOSE, abs=1), "python -m benchmarks.pages"


# --- the mechanism ---------------------------------------------------------------------------

PAGE = """# A

```
dcsim run a.yaml --duration "10 min" \\
  --set x=1  # one
dcsim report a.h5
```

Some words, `dcsim run elsewhere.yaml` among them.

<!-- figures: x 01234567 -->
| old |
| --- |

```
make run
```

<!-- figures: y -->
```
b
```

rest
"""


def test_commands_are_read_as_they_stand() -> None:
    first, second = figures_of(PROJECT / "README.md", PAGE)
    command = Command(("run", "a.yaml", "--duration", "10 min", "--set", "x=1"), "one")
    assert first.commands == (command,)
    assert (first.name, first.digest) == ("x", "01234567")
    (made_run,) = second.commands
    assert made_run.words[:2] == ("run", "scenarios/quickstart.yaml")
    assert made_run.out() == "out/quickstart.h5"
    assert second.digest is None


def test_any_other_option_is_another_digest_and_another_line_break_is_none() -> None:
    (one,) = commands_in('dcsim run a.yaml --set "x=1 # 2"  # a\n')
    assert (one.words[-1], one.label) == ("x=1 # 2", "a")
    (broken,) = commands_in('dcsim run a.yaml \\\n   --set "x=1 # 2"    # a\n')
    assert digest((one,)) == digest((broken,))
    for other in (
        'dcsim run a.yaml --set "x=1 # 2" --seed 2  # a',
        'dcsim run a.yaml --set "x=1 # 3"  # a',
        'dcsim run a.yaml --set "x=1 # 2"  # b',
    ):
        assert digest(tuple(commands_in(other))) != digest((one,))


def test_figures_without_a_command_are_refused() -> None:
    with pytest.raises(PageError, match="no command stands in the block above the figures x"):
        list(figures_of(PROJECT / "README.md", "```\ndcsim show a\n```\n\n<!-- figures: x -->\n"))


def test_a_page_keeps_what_is_not_its_block() -> None:
    after = filled(PAGE, "x", "| new |\n", "89abcdef")
    assert after == PAGE.replace("01234567", "89abcdef").replace("| old |\n| --- |\n", "| new |\n")
    assert filled(after, "z", "| new |\n", "89abcdef") == after
    assert filled(PAGE, "y", "```\n1\n2\n```\n", "0" * 8) == PAGE.replace(
        "figures: y -->\n```\nb\n", f"figures: y {'0' * 8} -->\n```\n1\n2\n"
    )


def test_commands_are_run_with_their_own_options_and_write_elsewhere(tmp_path: Path) -> None:
    words = 'run scenarios/quickstart.yaml --duration "2 s" --set facility.rack.count=1 --out q.h5'
    command = Command(tuple(shlex.split(words)), "")
    own = Player(tmp_path)
    assert own.json(command)["simulated_s"] == 2.0
    with own.results(command) as results:
        assert results.duration_s == 2.0
    assert not (PROJECT / "q.h5").exists()
    assert (tmp_path / "q.h5").exists()


def test_no_page_has_figures_that_the_mark_does_not_match() -> None:
    for page in PAGES:
        told = page.read_text(encoding="utf-8")
        assert told.count("<!-- figures: ") == len(list(figures_of(page))), page
