"""Keeps the tables of docs/scenario-format.md: made from the models, between marks in the page.

A table stands after the line `<!-- keys: Engine -->`, which names a model, and ends at the first
blank line. `python -m dcsim.scenario.reference PAGE` writes them anew; a test holds them in step.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from dcsim.scenario import models
from dcsim.scenario.describe import Key, keys_of, tag_of
from dcsim.spec.registered import is_list, models_in

MARK = re.compile(r"^<!-- keys: (\w+) -->\n(?:\|.*\n)*", re.MULTILINE)
PAGE = re.compile(r"\bdocs/(\w[\w-]*\.md)")
"""Another page, as the models name it; beside this one."""
HEAD = ("| key | what | default | meaning |", "| --- | --- | --- | --- |")


def filled(page: str) -> str:
    """The page with every marked table made anew. Raises KeyError for a model that is not there.

    Blocks that have no table of their own in the page are described in that of their block.
    """
    tabled = set(MARK.findall(page))
    return MARK.sub(lambda mark: f"<!-- keys: {mark[1]} -->\n{table(mark[1], tabled)}", page)


def table(name: str, tabled: set[str]) -> str:
    """The table of a model's own keys; `tabled` names the models that have a table elsewhere."""
    spec = vars(models)[name]
    lines = [*HEAD, *_rows(spec, "", tabled)]
    return "\n".join(lines) + "\n"


def _rows(spec: type[BaseModel], prefix: str, tabled: set[str]) -> Iterator[str]:
    tag = tag_of(spec)
    for field, key in zip(spec.model_fields.values(), keys_of(spec), strict=True):
        home = key.source.rpartition(".")[2]
        if (home in tabled and home != spec.__name__) or (tag is not None and key.name == tag[0]):
            continue
        yield _row(prefix, key)
        members = models_in(field.rebuild_annotation())
        for member in members:
            # The parts of a whole file have chapters of their own.
            if member.__name__ in tabled or len(members) > 4 or spec is models.Scenario:
                continue
            inner = f"{prefix}`{key.name}`" + (", each" if is_list(field.annotation) else "")
            chosen = tag_of(member)
            if len(members) > 1 and chosen is not None:
                inner += f", `{chosen[0]}: {chosen[1]}`"
            yield from _rows(member, f"{inner}: ", tabled)


def _row(prefix: str, key: Key) -> str:
    what = key.type.replace(" with its unit", "")
    if key.choices:
        explained = all(f"`{choice}`" in key.meaning for choice in key.choices)
        what = "choice" if explained else ", ".join(f"`{choice}`" for choice in key.choices)
    bare = ("required", "none", "see below", "empty")
    written = key.default in bare or (" " in key.default and not key.default[0].isdigit())
    default = key.default if written or "`" in key.default else f"`{key.default}`"
    meaning = key.meaning.removesuffix(".").replace("docs/scenario-format.md", "this page")
    meaning = PAGE.sub(r"[\1](\1)", meaning)
    cells = (f"{prefix}`{key.name}`", what, default, meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Write the tables of the pages named on the command line anew."""
    for name in sys.argv[1:]:
        page = Path(name)
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
