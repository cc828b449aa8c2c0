"""Where the reference data lies: `DCSIM_DATA`, else `../shared/data` beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder() -> Path | None:
    """The folder, or None where there is none."""
    named = os.environ.get("DCSIM_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None


def need_data() -> Path:
    """The folder; leaves with a message where there is none."""
    folder = data_folder()
    if folder is None:
        raise SystemExit("reference data not found: set DCSIM_DATA to its folder")
    return folder
