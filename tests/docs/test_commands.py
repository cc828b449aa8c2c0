"""Every command of the README and the pages, run as it stands but for less simulated time.

A page's commands and its Python run in order, in a folder of their own with the files that the
page has one write. What cannot run here stands in `NOT_RUN`, with the reason and where it is tested
instead.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click import Context
from typer.testing import CliRunner

from benchmarks.data import data_folder
from dcsim.cli import app
from dcsim.cli.lazy import COMMANDS, resolve
from tests import plugins
from tests.docs.pages import PAGES, PROJECT, Code, Line, commands, files, inline, steps
from tests.results.made import record
from tests.scenario.sample import GOOD

SIMULATED = "3 s"
"""Instead of what a command or its scenario says."""
STUDIED = {"savings": "15 min", "failover": "1 min", "oversubscription": "10 s"}
"""Studies that need a meter's reading, a whole window, or requests that end."""
NOT_RUN = {
    r"^(make|pip|source|cd|git) ": "changes the machine; CI runs `make test`",
    r"^export ": "sets a variable of the reader's shell",
    r"^python -m benchmarks": "minutes; a benchmark",
    r"^dcsim power (train|evaluate|validate) ": "needs measured runs: tests/lab/learn",
    r"^dcsim measure import ": "needs measured logs: tests/lab/measure",
    r"^python (feeder|microgrid|clocks)\.py": "needs the extra cosim: tests/docs/test_cosim.py",
    r"^dcsim data get ": "needs the network: tests/data has a server of its own",
    r"\.\.\.(?: |$)": "a pattern, not a command",
    r"out/growth": "reads the folder of a study: tests/studies",
}
"""Patterns of commands that are not run, and why. New commands that need long, a GPU or a network
are named here, with a line each."""
STAND_INS = {"RESULT.h5": "kept.h5", "FILE": "my.yaml", "SCENARIO": "my.yaml", "KEY": "seed"}
"""What a reader puts in place of a word in capitals."""
runner = CliRunner()
done_before: set[str] = set()


def reason(line: Line | Code) -> str | None:
    """Why a command is not run, or None."""
    for pattern, why in NOT_RUN.items():
        if re.search(pattern, line.text):
            return why
    if "azure-2023" in line.text and "scenarios/" in line.text and data_folder() is None:
        return "needs DCSIM_DATA"
    return None


def shortened(words: list[str]) -> list[str]:
    """The command with stand-ins for words in capitals, and little time to simulate."""
    words = [STAND_INS.get(word, word) for word in words]
    if words[0] == "run":
        at = words.index("--duration") if "--duration" in words else len(words)
        words = [*words[:at], *words[at + 2 :], "--duration", SIMULATED]
        words += [] if "--quiet" in words else ["--quiet"]
    if words[0] == "study":  # of an option given twice the last counts, of a key set twice, too
        words += [
            "--workers",
            "1",
            "--quiet",
            "--set",
            f"duration={STUDIED.get(words[1], SIMULATED)}",
        ]
        words += {"failover": ["--window", "1 s"], "oversubscription": ["--rule", "paper"]}.get(
            words[1], []
        )
        words += [] if words[1] in ("failover", "oversubscription") else ["--seeds", "1"]
        if words[1] == "savings":
            words += ["--set", "workload.chat.arrivals.mean_rate=1 req/s"]
    if "--at" in words and words[words.index("--at") + 1] != "peak":
        words[words.index("--at") + 1] = "1 s"
    return words


def checked(words: list[str]) -> list[str]:
    """`validate` with the same scenario and keys."""
    found = ["validate", words[1]]
    for at, word in enumerate(words[:-1]):
        found += ["--set", words[at + 1]] if word == "--set" else []
    return found


def prepare(page: Path, folder: Path) -> None:
    """What a page's commands find: scenarios, the reader's own files, results to read."""
    (folder / "scenarios").symlink_to(PROJECT / "scenarios")
    (folder / "out").mkdir()
    (folder / "my.yaml").write_text(GOOD)
    for name, text in files(page):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    if (folder / "my-catalogue").exists():
        return
    record(folder / "kept.h5")


def ready(words: list[str], folder: Path) -> None:
    """Results that a command or code reads and no command before it has made."""
    made = words[words.index("--out") + 1] if "--out" in words else ""
    for word in words[1:]:
        if word.endswith(".h5") and word != made and not (folder / word).exists():
            shutil.copy(folder / "kept.h5", folder / word)


def execute(code: Code, folder: Path) -> None:
    """Python as it stands, but for less simulated time."""
    ready(["python", *re.findall(r'"([^"]+\.h5)"', code.text)], folder)
    text = re.sub(r'duration="[^"]+"', f'duration="{SIMULATED}"', code.text)
    exec(compile(text, str(code.page), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_commands_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [step for step in steps(page) if reason(step) is None]
    if not lines:
        pytest.skip("no command to run in this page")
    prepare(page, tmp_path)
    monkeypatch.chdir(tmp_path)
    if (tmp_path / "my-catalogue").exists():
        monkeypatch.setenv("DCSIM_CATALOGUE", "my-catalogue")
    if data_folder() is not None:
        monkeypatch.setenv("DCSIM_DATA", str(data_folder()))
    with plugins.installed(tmp_path, monkeypatch):
        follow(lines, tmp_path)


def follow(lines: list[Line | Code], folder: Path) -> None:
    """Type what the lines say, one after the other."""
    rows_of: set[str] = set()
    for number, line in enumerate(lines):
        if isinstance(line, Code):
            execute(line, folder)
            continue
        words = shortened(line.words[1:])
        if line.label and words[0] == "run":
            # Of the rows of a table one is run, the others differ by a key: they are checked.
            if words[1] in rows_of and "--out" not in words:
                words = checked(words)
            rows_of.add(words[1])
        later = " ".join(after.text for after in lines[number + 1 :])
        made = {words[at + 1] for at, word in enumerate(words) if word in ("--out", "-o")}
        keeps = any(name in later for name in made) or words[0] in ("new", "export")
        if not keeps and line.text in done_before:
            continue
        ready(words, folder)
        done = runner.invoke(app, words)
        assert done.exit_code == 0, (line.text, words, done.output, done.exception)
        done_before.add(line.text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_commands_in_passing_are_commands(page: Path) -> None:
    """`dcsim ...` within a sentence: the command is there, and so is each option."""
    for line in inline(page):
        words = [word.rstrip(",.;") for word in line.text.split()[1:]]
        if words[0].startswith("-") or words[0] == "...":
            continue
        assert words[0] in COMMANDS, line
        command: Any = resolve(words[0])
        if hasattr(command, "commands") and len(words) > 1 and words[1].islower():
            context = Context(command)
            assert words[1] in command.list_commands(context), line
            command = command.get_command(context, words[1])
        known = {flag for option in command.params for flag in getattr(option, "opts", ())}
        known |= {flag for option in command.params for flag in option.secondary_opts}
        for word in words[1:]:
            if word.startswith("-") and not hasattr(command, "commands"):
                assert word.partition("=")[0] in known | {"--help", "-h"}, line


def test_reasons_are_needed() -> None:
    """A pattern that no command meets any more is dropped."""
    told = [step.text for page in PAGES for step in steps(page)]
    for pattern in NOT_RUN:
        assert any(re.search(pattern, text) for text in told), pattern


def test_enough_is_found() -> None:
    assert sum(1 for page in PAGES for _ in commands(page)) > 30
    assert sum(1 for page in PAGES for _ in inline(page)) > 20
