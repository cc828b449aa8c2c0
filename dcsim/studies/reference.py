"""Keeps the tables of options in docs/studies: made from the studies, between marks in the pages.

A table stands after the line `<!-- options: growth -->`, which names a study, and ends at the first
blank line. `python -m dcsim.studies.reference PAGE...` writes them anew; a test holds them in step.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from dcsim import registry
from dcsim.studies.options import StudyOption, options_of

MARK = re.compile(r"^<!-- options: ([\w-]+) -->\n(?:\|.*\n)*", re.MULTILINE)
PAGE = re.compile(r"\bdocs/studies/(\w[\w-]*\.md)")
"""Another page beside the one with the table, as a study names it."""
HEAD = ("| option | default | meaning |", "| --- | --- | --- |")


def filled(page: str) -> str:
    """The page with every marked table made anew. Raises KeyError for a study that is not there."""
    return MARK.sub(lambda mark: f"<!-- options: {mark[1]} -->\n{table(mark[1])}", page)


def table(name: str) -> str:
    """The table of a study's options."""
    component = registry.find("studies", name)
    if component is None:
        raise KeyError(name)
    return "\n".join([*HEAD, *map(_row, options_of(component.spec))]) + "\n"


def _row(option: StudyOption) -> str:
    if option.required:
        default = "required"
    elif option.default is not None and not option.switch:
        default = f"`{option.default}`"
    else:
        default = option.instead
    flag = option.flag if option.switch else f"{option.flag} {option.metavar}"
    cells = (f"`{flag}`", default, PAGE.sub(r"[\1](\1)", option.text.removesuffix(".")))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Write the tables of the pages named on the command line anew."""
    import dcsim.studies  # noqa: F401  registers those of dcsim

    for name in sys.argv[1:]:
        page = Path(name)
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
