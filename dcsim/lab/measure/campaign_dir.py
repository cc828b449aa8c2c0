"""The folder of a campaign: whose it is, which of its parts are done, and what is put aside."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

from dcsim.errors import MeasureError
from dcsim.files import atomic_write
from dcsim.lab.measure.campaign import Campaign
from dcsim.lab.measure.check import check_folder
from dcsim.lab.measure.folder import MANIFEST
from dcsim.lab.measure.plan import PlannedPart, digest

CAMPAIGN = "campaign.json"


def open_campaign_dir(out: Path, campaign: Campaign) -> None:
    """Make the campaign's folder, or find that it is this campaign's.

    Raises MeasureError for a folder with anything else in it, OSError where it cannot be made.
    """
    note = out / CAMPAIGN
    expected = digest(campaign)
    if note.is_file():
        try:
            recorded = json.loads(note.read_text(encoding="utf-8"))["digest"]
        except (ValueError, TypeError, KeyError):
            raise MeasureError(f"{note}: not the note of a campaign") from None
        if recorded != expected:
            raise MeasureError(
                f"{out} holds another campaign, or this one before its file was changed: "
                "give another folder"
            )
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise MeasureError(f"{out} is not empty and does not contain a campaign")
    out.mkdir(parents=True, exist_ok=True)
    content = {
        "digest": expected,
        "dcsim": version("dcsim"),
        "campaign": campaign.model_dump(mode="json", by_alias=True),
    }
    atomic_write(note, json.dumps(content, indent=1) + "\n")


def part_is_done(folder: Path, part: PlannedPart) -> tuple[bool, str]:
    """Whether a part's folder is good, and if not, why; no reason where it was never begun."""
    if not folder.exists():
        return False, ""
    if not (folder / MANIFEST).is_file():
        return False, "it was cut off at its start"
    verdict = check_folder(folder)
    if not verdict.good:
        return False, verdict.errors[0]
    probe = json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("probe", {})
    if probe.get("digest") != part.to_dict()["digest"]:
        return False, "its requests are not those of the plan"
    return True, ""


def archive(folder: Path) -> None:
    """Make way for a part that is measured again; nothing measured is deleted."""
    if not folder.exists():
        return
    number = 1
    while (aside := folder.with_name(f"{folder.name}.aside-{number}")).exists():
        number += 1
    folder.rename(aside)
