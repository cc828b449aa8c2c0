"""Compiles the hot modules of the event loop with mypyc where a C compiler is at hand.

The same source runs as plain Python where there is none, or with DCSIM_PURE=1: same results,
about half the events a second.
"""

import os
import sys

from setuptools import setup

HOT = ["log", "replica", "request", "router", "timing"]


def compiled() -> list:
    """Extension modules, none of which may stop an installation."""
    if os.environ.get("DCSIM_PURE"):
        return []
    try:
        from mypyc.build import mypycify

        options = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
        modules = mypycify([*options, *(f"dcsim/serving/{name}.py" for name in HOT)])
    except (ImportError, SystemExit, RuntimeError) as error:
        print(f"dcsim: serving is left as plain Python ({error})", file=sys.stderr)
        return []
    for module in modules:
        module.optional = True
    return modules


setup(ext_modules=compiled())
