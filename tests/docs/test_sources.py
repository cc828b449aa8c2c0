"""What code cites is there to be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
CITED = re.compile(r"[\w./-]+\.md\b(?:, ([A-Z][\w -]+))?")


def cited(text: str) -> list[tuple[str, str | None]]:
    """Pages that code names, and the section that follows the name."""
    joined = re.sub(r"\n\s*(?:# ?)?", " ", text)
    return [(found[0].split(",")[0], found[1]) for found in CITED.finditer(joined)]


def lacks(page: str, section: str | None) -> str | None:
    """What of a citation does not exist."""
    if "{" in page or page.endswith("/.md"):
        return None
    file = next((f for f in (PROJECT / page, PROJECT / "docs" / page) if f.is_file()), None)
    if file is None:
        return page
    heads = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    if section is None or any(section.startswith(head) for head in heads):
        return None
    return f"{page}, {section}"


def test_pages_and_sections_that_code_cites_exist() -> None:
    files = sorted((PROJECT / "dcsim").rglob("*.py"))
    citations = [(file, *one) for file in files for one in cited(file.read_text(encoding="utf-8"))]
    assert len(citations) > 20
    missing = {
        f"{file.relative_to(PROJECT)}: {lack}"
        for file, page, section in citations
        if (lack := lacks(page, section)) is not None
    }
    assert missing == set()


@pytest.mark.parametrize(
    ("text", "lack"),
    [
        ("docs/reference/method.md, KV capacity", None),
        ("(docs/fidelity-power.md)", None),
        ("reference-method.md 4.2", "reference-method.md"),
        ("docs/reference/method.md, The law of luck", "docs/reference/method.md, The law of luck"),
    ],
)
def test_a_citation_that_leads_nowhere_is_noticed(text: str, lack: str | None) -> None:
    (one,) = cited(text)
    assert lacks(*one) == lack
