"""What mkdocs does on its way: pages that came after the navigation was written are added to it.

A page under docs/studies/ goes under "Studies", any other that stands nowhere under "Reference".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SCRIPTS = ("hooks.py",)


def on_config(config: Any) -> Any:
    """Extend the navigation before mkdocs reads it."""
    docs = Path(config["docs_dir"])
    known = set(_named(config["nav"]))
    missing = sorted(
        page.relative_to(docs).as_posix()
        for page in docs.rglob("*.md")
        if page.relative_to(docs).as_posix() not in known
    )
    studies = [page for page in missing if page.startswith("studies/")]
    others = [page for page in missing if page not in studies]
    for section in config["nav"]:
        if isinstance(section, dict) and "Reference" in section:
            section["Reference"] += others
    if studies:
        place = next(
            i for i, entry in enumerate(config["nav"])
            if isinstance(entry, dict) and "How to add" in entry
        )  # fmt: skip
        config["nav"].insert(place, {"Studies": studies})
    return config


def _named(nav: Any) -> list[str]:
    """Every page that a navigation names."""
    if isinstance(nav, str):
        return [nav]
    entries = nav.values() if isinstance(nav, dict) else nav
    return [page for entry in entries for page in _named(entry)]
