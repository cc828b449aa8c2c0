"""Fits the chassis of whole servers on AC measurements: python -m benchmarks.chassis

The runs are MLPerf inference power submissions (1 s, an analyser at the wall). Nobody metered the
GPUs beside the wall, so three things are taken as given: GPUs at rest draw what the catalogue says;
power supplies are 80 PLUS Titanium and rated as the makers' data sheets say; the B200s, which ran
Offline without a cap, draw their board limit there. What is then left is fitted:

- `other`: AC at rest, through the supplies, less the GPUs at rest;
- H200, power-capped, so that its GPUs draw the same from the first second of load on: what AC
  gains after that is fans; their share of the added watts, and the time constant;
- B200: what the settled AC holds beyond `other` and the GPUs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from benchmarks.baselines import TABLES
from benchmarks.data import need_data
from dcsim.arrays import FloatArray
from dcsim.hardware.catalogue import load_catalogue
from dcsim.power.chassis import ac_watts

GPUS = 8
RATED_W = 6 * 3300.0
"""DGX H200 and DGX B200 data sheets: six supplies of 3.3 kW."""
B200_DELAY_S = 10.0
"""Assumed short: no B200 run gains anything after its first half minute of load."""
SETTLED = (0.5, 0.9)
"""Part of the loaded stretch that counts as settled."""


def dc_watts(ac_w: float, rated_w: float) -> float:
    """What supplies that draw so much give: the inverse of `ac_watts`."""
    grid = np.linspace(0.0, 1.0, 4001) * rated_w
    return float(np.interp(ac_w, ac_watts(grid, rated_w), grid))


def read(file: Path) -> FloatArray:
    """AC watts at 1 s, medians of three."""
    watts = pd.read_csv(file)["power_w"].to_numpy(dtype=np.float64)
    stacked = np.stack([watts[:-2], watts[1:-1], watts[2:]])
    return np.asarray(np.median(stacked, axis=0))


def stretch(watts: FloatArray) -> FloatArray:
    """From the first to the last moment at nine tenths of the load."""
    high = np.flatnonzero(watts > 0.9 * np.percentile(watts, 90))
    return watts[high[0] : high[-1]]


def fans(watts: FloatArray, rest_w: float) -> tuple[float, float] | None:
    """Share of the added DC watts that came late, and after which time 63 % of them had come; None
    where nothing came late."""
    loaded = stretch(watts)
    count = len(loaded)
    first = dc_watts(float(np.median(loaded[10:60])), RATED_W)
    last = dc_watts(
        float(np.median(loaded[int(SETTLED[0] * count) : int(SETTLED[1] * count)])), RATED_W
    )
    if last - first < 0.005 * (last - rest_w):
        return None
    reached = np.array([dc_watts(float(w), RATED_W) for w in loaded])
    late = float(np.flatnonzero(reached > first + 0.63 * (last - first))[0])
    return (last - first) / (first - rest_w), late


def main() -> None:
    """Write the table."""
    folder, catalogue = need_data() / "measured" / "server_ac", load_catalogue()
    rows: dict[str, Any] = {}
    h200 = [read(file) for file in sorted(folder.glob("v4.1_H200*.csv"))]
    rest_ac_w = float(np.median([watts.min() for watts in h200]))
    rest_w = dc_watts(rest_ac_w, RATED_W)
    idle_w = GPUS * catalogue.gpus["h200-sxm-141gb"].ledger_power.idle_w
    late = [fans(watts, rest_w) for watts in h200]
    found = [one for one in late if one is not None]
    # A run with little power needs no more fan: it counts as a share of zero.
    share = float(np.median([0.0 if one is None else one[0] for one in late]))
    rows["dgx-h200"] = {
        "other_w": round(rest_w - idle_w, 1),
        "gpu_idle_w": idle_w,
        "share": round(share, 4),
        "delay_s": round(float(np.median([one[1] for one in found])), 1),
        "rated_w": RATED_W,
        "evidence": "fitted",
        "source": f"MLPerf inference v4.1 power, 8xH200 MaxQ, {len(h200)} runs at the wall: rest,"
        f" and what came late in {len(found)} of them; GPUs at rest as in the catalogue, Titanium"
        " supplies of 19.8 kW (assumed)",
    }
    b200_idle_w = GPUS * catalogue.gpus["b200-sxm-180gb"].ledger_power.idle_w
    limit_w = GPUS * catalogue.gpus["b200-sxm-180gb"].nameplate_w
    others, shares = [], []
    for kind in ("SR680a", "SR780a"):
        runs = [read(file) for file in sorted(folder.glob(f"v5.1_{kind}*Offline*.csv"))]
        other = dc_watts(min(float(watts.min()) for watts in runs), RATED_W) - b200_idle_w
        top = max(float(np.median(stretch(watts))) for watts in runs)
        others.append(other)
        shares.append((dc_watts(top, RATED_W) - other - limit_w) / (limit_w - b200_idle_w))
    rows["dgx-b200"] = {
        "other_w": round(float(np.mean(others)), 1),
        "gpu_idle_w": b200_idle_w,
        "share": round(float(np.mean(shares)), 4),
        "delay_s": B200_DELAY_S,
        "rated_w": RATED_W,
        "evidence": "fitted",
        "source": "MLPerf inference v5.1 power, two makers' 8xB200 servers, Offline runs at the"
        f" wall (other {others[0]:.0f} and {others[1]:.0f} W, share {shares[0]:.3f} and"
        f" {shares[1]:.3f}); GPUs at rest as in the catalogue, at their limit under load, Titanium"
        " supplies of 19.8 kW (assumed)",
    }
    text = yaml.safe_dump({"servers": rows}, sort_keys=False, width=98)
    (TABLES / "chassis.yaml").write_text(
        "# Made by `python -m benchmarks.chassis`; do not edit.\n" + text, encoding="utf-8"
    )
    print(text)


if __name__ == "__main__":
    main()
