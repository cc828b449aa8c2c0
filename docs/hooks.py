"""What mkdocs does besides: it adds pages to the navigation, and makes pages of notebooks.

A page under docs/studies/ goes under "Studies", any other that is not in the navigation under
"Reference". A notebook becomes a page of the same name, which also offers it for download.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

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


def on_files(files: Any, config: Any) -> Any:
    """Make a page of each notebook."""
    docs = Path(config["docs_dir"])
    for notebook in sorted(docs.glob("notebooks/*.ipynb")):
        place = notebook.relative_to(docs).with_suffix(".md").as_posix()
        files.append(File.generated(config, place, content=_page(notebook)))
    return files


def _page(notebook: Path) -> str:
    """A notebook as Markdown: its text, and its code without outputs."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    blocks = []
    for cell in cells:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code":
            magic, _, content = text.partition("\n")
            name = magic.removeprefix("%%writefile ")
            language = Path(name).suffix.removeprefix(".") if name != magic else ""
            text = f"`{name}`:\n\n```{language}\n{content}\n```" if language else (
                f"```python\n{text}\n```"
            )  # fmt: skip
        blocks.append(text)
    blocks.insert(1, f"[Download this page as a notebook]({notebook.name}).")
    return "\n\n".join(blocks) + "\n"


def _named(nav: Any) -> list[str]:
    """Every page that a navigation names."""
    if isinstance(nav, str):
        return [nav]
    entries = nav.values() if isinstance(nav, dict) else nav
    return [page for entry in entries for page in _named(entry)]
