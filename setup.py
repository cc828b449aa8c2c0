"""Compiles the hot modules of the event loop with mypyc where a C compiler is at hand.

The same source runs as plain Python where there is none, or with DCSIM_PURE=1: same results,
about half the events a second.
"""

import os
import sys
from pathlib import Path

from setuptools import setup

COMPILED = "# compiled by mypyc"
"""Such a line stands in every module that is compiled; tests/test_packaging.py asks each module of
the serving room to have it, or to say why not."""


def hot() -> list[str]:
    """Modules to compile."""
    sources = sorted(Path("dcsim").rglob("*.py"))
    return [str(path) for path in sources if COMPILED in path.read_text("utf-8").splitlines()]


def compiled() -> list:
    """Extension modules, none of which may stop an installation."""
    building = {"build", "build_ext", "bdist_wheel", "editable_wheel", "develop"} & set(sys.argv)
    if os.environ.get("DCSIM_PURE") or not building:
        return []
    try:
        from mypyc.build import mypycify

        # Without site-packages: reading the types of PyTorch and numpy takes minutes and changes
        # nothing in what is compiled.
        options = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
        options.append("--no-site-packages")
        modules = mypycify([*options, *hot()])
    except (ImportError, SystemExit, RuntimeError) as error:
        print(f"dcsim: the event loop is left as plain Python ({error})", file=sys.stderr)
        return []
    for module in modules:
        module.optional = True
    return modules


setup(ext_modules=compiled())
