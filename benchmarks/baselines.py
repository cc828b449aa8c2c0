"""Makes the tables behind the baselines: python -m benchmarks.baselines   (a second)

- `mean.yaml`: the mean of each configuration's measured power, from the published state mixtures
  and from the vLLM runs.
- `splitwise.yaml`: medians by tokens in the batch of Splitwise's measured power of llama2-70b on
  A100s (the H100 rows hold no power, the `-pcap` rows are scaled copies).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from benchmarks.data import need_data
from dcsim.hardware.catalogue import Catalogue, load_catalogue
from dcsim.lab.learn.measured import by_configuration
from dcsim.lab.learn.published import published_key
from dcsim.lab.learn.runs import read_run

TABLES = Path(__file__).parents[1] / "dcsim" / "power" / "tables"
HEADER = "# Made by `python -m benchmarks.baselines`; do not edit.\n"


def means(data: Path, catalogue: Catalogue) -> dict[str, Any]:
    """Mean watts, samples and source by configuration."""
    rows: dict[str, Any] = {}
    for file in sorted((data / "published" / "state_distributions").glob("*.json")):
        table = json.loads(file.read_text())
        weight = np.array(table["weight"]) / sum(table["weight"])
        rows[published_key(file.stem)] = {
            "watts": round(float(weight @ np.array(table["mean_w"])), 2),
            "samples": table["num_train_points"],
            "source": f"powertrace-sim, published mixture {file.stem}, ShareGPT, 0.125 to 4 req/s",
        }
    folders = sorted((data / "measured" / "vllm_runs").iterdir())
    for key, runs in by_configuration([read_run(f, catalogue) for f in folders]).items():
        power_w = np.concatenate([run.power_w for run in runs])
        rows[key] = {
            "watts": round(float(power_w.mean()), 2),
            "samples": len(power_w),
            "source": "measured runs " + ", ".join(run.name for run in runs),
        }
    return dict(sorted(rows.items()))


def splitwise(data: Path) -> dict[int, dict[str, list[float]]]:
    """Rows by tensor parallel size."""
    table = pd.read_csv(data / "steady_state" / "splitwise_perf_model.csv")
    table = table[(table["model"] == "llama2-70b") & (table["hardware"] == "a100-80gb")]
    table = table[table["average_power"] > 0]
    table["batch_tokens"] = table["prompt_size"] * table["batch_size"]
    found = {}
    for parallel, rows in table.groupby("tensor_parallel"):
        medians = rows.groupby("batch_tokens")[["peak_power", "average_power"]].median()
        found[int(str(parallel))] = {
            "batch_tokens": [float(tokens) for tokens in medians.index],
            "peak": [round(float(share), 4) for share in medians["peak_power"]],
            "average": [round(float(share), 4) for share in medians["average_power"]],
        }
    return found


def main() -> None:
    """Write both tables."""
    data, catalogue = need_data(), load_catalogue()
    TABLES.mkdir(exist_ok=True)
    tables: dict[str, dict[str, Any]] = {
        "mean.yaml": {"configurations": means(data, catalogue)},
        "splitwise.yaml": {
            "source": "Splitwise (Patel et al., ISCA 2024; MIT licence) perf_model.csv: medians of "
            "measured power of llama2-70b on A100 80 GB, as a share of the board limit",
            "tensor_parallel": splitwise(data),
        },
    }
    for name, table in tables.items():
        text = yaml.safe_dump(table, sort_keys=False, width=100, default_flow_style=None)
        (TABLES / name).write_text(HEADER + text, encoding="utf-8")
        print(f"wrote {TABLES / name}")


if __name__ == "__main__":
    main()
