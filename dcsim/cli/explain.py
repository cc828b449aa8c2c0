"""`dcsim explain`: any key of a scenario file, from the models that check it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.exits import refuse

if TYPE_CHECKING:
    from dcsim.scenario.find import KeyEntry

WIDTH = 88
MANY = 8
"""More keys than these are listed by a line each."""


def explain(
    key: Annotated[
        str,
        typer.Argument(
            metavar="[KEY]",
            help="Path of a key, such as servers.*.engine.max_num_seqs, or the end of one.",
        ),
    ] = "",
) -> None:
    """Tell what a key of a scenario file means: its type and unit, default, allowed values.

    Without a key, lists those at the top of the file.
    """
    from dcsim.scenario.find import below, find, near, top

    if not key.strip():
        typer.echo("Keys at the top of a scenario file; `dcsim explain KEY` tells more.\n")
        _list(top())
        return
    entries = find(key)
    if not entries:
        typer.echo(f"no key '{key}' in a scenario file", err=True)
        alike = near(key)
        if alike:
            typer.echo("did you mean " + " or ".join(alike) + "?", err=True)
        refuse("`dcsim explain` lists the keys at the top")
    if len(entries) > MANY:
        typer.echo(f"{len(entries)} keys end so:\n")
        _list(entries)
        return
    for index, entry in enumerate(entries):
        if index:
            typer.echo()
        _tell(entry)
        inner = below(entry.path)
        if inner:
            typer.echo("  keys in it:")
            _list(inner, "    ")


def _tell(entry: KeyEntry) -> None:
    typer.echo(entry.path)
    if len(entry.keys) > 1 and all(len(key.choices) == 1 for key in entry.keys):
        # The key that chooses the kind of its block: what each kind is.
        width = max(len(key.choices[0]) for key in entry.keys)
        for key in entry.keys:
            _wrapped(f"  {key.name}: {key.choices[0]:<{width}}  ", key.meaning)
        return
    for key, kinds in zip(entry.keys, entry.kinds, strict=True):
        indent = "    " if len(entry.keys) > 1 else "  "
        if kinds:
            typer.echo(f"  with {kinds}:" if len(entry.keys) > 1 else f"  only with {kinds}")
        rows = [("meaning", key.meaning), ("type", key.type)]
        if key.choices:
            rows.append(("allowed", ", ".join(key.choices)))
        if key.table:
            rows.append(("names", _names(key.table)))
        rows.append(("default", key.default))
        if key.example:
            rows.append(("example", f"{key.name}: {key.example}"))
        rows.append(("source", key.source))
        for name, text in rows:
            _wrapped(f"{indent}{name + ':':<10}", text)


def _names(table: str) -> str:
    """Of a table of the catalogue, with where their figures are."""
    from dcsim.hardware.catalogue import load_catalogue

    names = ", ".join(getattr(load_catalogue(), table))
    return f"{names} (figures: `dcsim catalogue list {table}`)"


def _list(entries: list[KeyEntry], indent: str = "  ") -> None:
    width = max(len(entry.path) for entry in entries)
    for entry in entries:
        key = entry.keys[0]
        note = "" if key.default != "required" else " (required)"
        first = key.meaning.split(". ")[0].rstrip(".")
        _wrapped(f"{indent}{entry.path:<{width}}  ", (first or key.type) + note)


def _wrapped(head: str, text: str) -> None:
    import textwrap

    lines = textwrap.wrap(text, max(30, WIDTH - len(head)), break_long_words=False) or [""]
    typer.echo(head + lines[0])
    for line in lines[1:]:
        typer.echo(" " * len(head) + line)
