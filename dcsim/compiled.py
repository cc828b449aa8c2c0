"""Whether the event loop is compiled, and whether what was compiled is still its source."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent


def is_compiled() -> bool:
    """Whether the event loop was compiled at installation; without a C compiler it is not."""
    return any((PACKAGE / "serving").glob("replica.*.so"))


def stale_sources() -> list[str]:
    """Sources in a checkout that were edited after they were compiled.

    Python imports the compiled module, so that such an edit has no effect. An installed wheel has
    none: its files are as old as their unpacking.
    """
    if not (PACKAGE.parent / "setup.py").is_file():
        return []
    stale = []
    for library in PACKAGE.rglob("*.so"):
        source = library.parent / f"{library.name.partition('.')[0]}.py"
        if source.is_file() and source.stat().st_mtime > library.stat().st_mtime:
            stale.append(str(source.relative_to(PACKAGE.parent)))
    return sorted(stale)


def stale_warning() -> str | None:
    """The same in words, or None where nothing is stale."""
    stale = stale_sources()
    if not stale:
        return None
    return (
        f"{', '.join(stale)} changed after being compiled, and the old code runs: "
        "`pip install --editable .` compiles again, DCSIM_PURE=1 before it leaves plain Python"
    )
