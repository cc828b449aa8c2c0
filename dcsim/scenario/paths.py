"""Paths in a scenario: `${VAR}` from the environment, relative ones from the file's folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dcsim.scenario import raw
from dcsim.spec.document import Document, Steps

VARIABLE = re.compile(r"\$\{(\w*)\}")


def resolve(document: Document) -> None:
    """Make the paths of trace files, packs and time series absolute, in place."""
    for path, stream in raw.items(document, "workload"):
        for at, part in raw.recordings(path, stream):
            for key in ("file", "folder"):
                named = raw.text(part, key)
                if named is not None:
                    part[key] = absolute(document, (*at, key), named)
    for path, group in raw.items(document, "servers"):
        power = raw.block(group, "power")
        pack = raw.text(power, "pack")
        if pack is not None and (pack.endswith(".h5") or VARIABLE.search(pack)):
            power["pack"] = absolute(document, (*path, "power", "pack"), pack)
    cooling = raw.block(document.data, "cooling")
    weather = raw.text(cooling, "weather")
    if weather is not None:
        cooling["weather"] = absolute(document, ("cooling", "weather"), weather)
    for path, node in raw.items(document, "facility"):
        demands = node.get("demand")
        for index, demand in enumerate(demands if isinstance(demands, list) else []):
            contract = raw.text(demand, "contract") if isinstance(demand, dict) else None
            if contract is not None:
                at = (*path, "demand", index, "contract")
                demand["contract"] = absolute(document, at, contract)


def absolute(document: Document, path: Steps, text: str) -> str:
    """A path in full; the text unchanged, and a problem, where a variable is not set."""
    missing = [name for name in VARIABLE.findall(text) if not os.environ.get(name)]
    for name in missing:
        message = f"the environment variable {name or '(no name)'} is not set"
        document.add(path, message, f"export {name}=FOLDER, or write the path in full")
    if missing:
        return text
    filled = VARIABLE.sub(lambda found: os.environ[found[1]], text)
    leading = VARIABLE.match(text)
    if leading:  # a variable is set in the shell, so what it says starts where the shell stands
        filled = os.path.abspath(filled)
    return os.path.abspath(document.folder / Path(filled).expanduser())
