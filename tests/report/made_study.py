"""A hand-made study's folder, as docs/studies/format.md describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

EVIDENCE = [
    {
        "name": "gru",
        "pack": "gru-a100",
        "provenance": [
            {"configuration": "llama-3-70b/tp8", "evidence": "fitted", "source": "a <b>paper</b>"}
        ],
    }
]


def growth() -> pd.DataFrame:
    """Peaks of three nodes by month, with intervals, and their limits."""
    rows = []
    for node, base_w, limit_w in (
        ("site", 480e3, 750e3),
        ("row", 300e3, 600e3),
        ("a<b", 9e3, 17e3),
    ):
        for month in range(37):
            peak_w = base_w * 1.02**month
            rows.append(
                {
                    "node": node,
                    "date": str(np.datetime64("2026-01") + month) + "-01",
                    "growth": 1.02**month,
                    "peak_w": peak_w,
                    "peak_low_w": 0.96 * peak_w,
                    "peak_high_w": 1.05 * peak_w,
                    "limit_w": limit_w,
                    "breached": peak_w > limit_w,
                }
            )
    return pd.DataFrame(rows)


def racks() -> pd.DataFrame:
    """Racks against the probability of a trip in a year, with intervals, for three policies."""
    rows = []
    for policy, middle in (("none", 44), ("static-cap", 50), ("polca", 56)):
        for count in range(30, 64, 2):
            p = 1 / (1 + np.exp(-(count - middle) / 1.6))
            rows.append(
                {
                    "policy": policy,
                    "racks": count,
                    "trip_probability": p,
                    "trip_probability_low": max(0.0, p - 0.06),
                    "trip_probability_high": min(1.0, p + 0.06),
                    "accepted_probability": 0.05,
                    "ttft_p99_s": 0.4 + 0.02 * max(0, count - 40),
                }
            )
    return pd.DataFrame(rows)


def policies() -> pd.DataFrame:
    """One row a policy; something is unknown."""
    return pd.DataFrame(
        {
            "policy": ["none", "static-cap", "polca"],
            "peak_w": [611e3, 598e3, 604e3],
            "trips": [2, 0, 0],
            "slo_attainment": [0.97, 0.93, 0.962],
            "capped_server_h": [np.nan, 411.0, 37.5],
        }
    )


PLOTS = [
    {"table": "growth", "title": "Peaks as traffic grows", "kind": "line", "x": "date",
     "y": ["peak_w"], "by": "node", "limit": "limit_w"},
    {"table": "racks", "title": "Racks against trips", "kind": "line", "x": "racks",
     "y": ["trip_probability", "ttft_p99_s"], "by": "policy", "limit": "accepted_probability"},
    {"table": "policies", "title": "Policies compared", "kind": "bar", "x": "policy",
     "y": ["peak_w"], "by": None, "limit": None},
    {"table": "racks", "title": "All at once", "kind": "heat", "x": "racks",
     "y": ["trip_probability"], "by": "policy", "limit": None},
]  # fmt: skip


def made_study(
    folder: Path, more: Mapping[str, pd.DataFrame] | None = None, **changes: Any
) -> Path:
    """Write the folder, with `more` tables; `changes` replace keys of study.json."""
    tables: Mapping[str, pd.DataFrame] = {
        "growth": growth(),
        "racks": racks(),
        "policies": policies(),
        **(more or {}),
    }
    (folder / "tables").mkdir(parents=True)
    described = []
    for name, frame in tables.items():
        frame.to_csv(folder / "tables" / f"{name}.csv", index=False)
        described.append(
            {
                "name": name,
                "title": f"Table of {name}",
                "rows": len(frame),
                "columns": [
                    {"name": column, "dtype": str(dtype), "about": f"the {column}"}
                    for column, dtype in frame.dtypes.items()
                ],
                "files": [f"tables/{name}.csv", "tables.h5"],
            }
        )
    study = {
        "format": "dcsim-study",
        "format_version": 1,
        "study": "growth",
        "status": "done",
        "error": None,
        "scenario": {"file": "my.yaml", "name": "my-site", "yaml": "name: my-site\n"},
        "inputs": {"growth_per_year": 0.27, "seeds": 5, "breach_share": 0.05, "kinds": ["row"]},
        "headline": ["The row passes its rating in November 2028; fix <it> by then."],
        "reasons": ["Peaks grow with traffic, but less than in step."],
        "uncertainty": ["Five seeds: the date moves by a month either way."],
        "figures": {
            "breach_date": "2028-11-01",
            "racks_max": 50,
            "peak_w": 611e3,
            "unknown_w": None,
        },
        "evidence": EVIDENCE,
        "tables": described,
        "plots": PLOTS,
        "versions": {"python": "3.11", "dcsim": "0.1.0", "code": "abc"},
        "runs": {"folder": "runs", "used": 25},
        **changes,
    }
    (folder / "study.json").write_text(json.dumps(study), encoding="utf-8")
    return folder
