"""OpenDSS: a load shape a node, in kW, with the script that defines them."""

from __future__ import annotations

import re
from pathlib import Path

from dcsim.errors import ExportError
from dcsim.results.export.needs import whole_folder, whole_steps
from dcsim.results.results import Results

SCRIPT = "loadshapes.dss"


def export_loadshapes(
    results: Results,
    out: Path,
    kind: str | None = None,
    every_s: float | None = None,
    force: bool = False,
) -> list[Path]:
    """Write the folder `out`: `loadshapes.dss` and one CSV file of kW values a node of `kind`.

    `kind` is a level of the site; None: the lowest above the servers. `every_s` is the shapes'
    interval, None: the recorded step. Values are means over an interval; the last one, where the
    run ends within it, is its mean so far. `useactual=yes` makes a load take them as its kW.

    Raises ExportError for a level that the site lacks, where `out` is in the way, or for an
    `every_s` below the recorded step.
    """
    kinds = list(dict.fromkeys(results.nodes()["kind"]))
    if kind is None:
        above = [level for level in kinds if level != "server"]
        kind = above[-1]
    if kind not in kinds:
        raise ExportError(f"no {kind} in this site; there is {', '.join(kinds)}")
    recorded_s = results.server_step_s if kind == "server" else results.step_s
    whole_steps(every_s, recorded_s)
    load_w = results.load_w(kind, every_s)
    step_s = every_s or recorded_s
    names = _names(list(load_w.columns))
    lines = [
        f"! Loads of {len(names)} nodes of kind {kind}, simulated by dcsim "
        f"{results.versions.get('dcsim', '')} ({results.path.name}, seed {results.seed}).",
        f"! kW, means over {step_s:g} s. To use one:",
        f"!   New Load.{names[0]} bus1=... kW=1 pf=0.98 daily={names[0]}",
    ]
    files = [SCRIPT]
    with whole_folder(out, force) as folder:
        for column, name in zip(load_w.columns, names, strict=True):
            values = load_w[column].to_numpy() / 1e3
            file = f"{name}.csv"
            text = "".join(f"{value:.6g}\n" for value in values)
            (folder / file).write_text(text, encoding="ascii")
            lines.append(
                f"New Loadshape.{name} npts={len(values)} sinterval={step_s:g} useactual=yes "
                f"mult=(file={file})  ! {column}"
            )
            files.append(file)
        (folder / SCRIPT).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [out / file for file in files]


def _names(nodes: list[str]) -> list[str]:
    """Names that OpenDSS takes (it ends a name at a dot or a blank, and folds case), all
    different."""
    made: list[str] = []
    for node in nodes:
        base = name = re.sub(r"[^a-z0-9_-]", "_", node.lower())
        number = 2
        while name in made:
            name, number = f"{base}_{number}", number + 1
        made.append(name)
    return made
