"""A run folder with known truth: bursts of decoding on a Qwen3 8B A100, logged across midnight."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

BURST_S = 10.0
IDLE_W, BUSY_W = 80.0, 300.0
ENGINE_LAG_S = 0.1
"""The engine's log starts later and ticks out of step with the power log."""
UTC_OFFSET_S = -25200.0
LOCAL_START = datetime(2026, 7, 18, 23, 59, 20, tzinfo=UTC)
"""Wall time of a machine seven hours behind UTC (tzinfo only eases the sums)."""
EPOCH_S = 1.784e9
METER_LAG_S = 0.125
"""A meter of moments shows what was drawn about so long before (A100, measured runs)."""
PROMPTS_START_S = EPOCH_S + 10.0


def write_run(
    folder: Path,
    duration_s: float = 120.0,
    *,
    gap_s: float = 0.0,
    glitch: bool = False,
    jitter_w: float = 0.0,
    engine_delay_s: float = 0.0,
) -> float:
    """Write manifest.json, power.csv and engine.csv; returns the unix time of the start.

    Every other 10 s, 4 requests decode at 40 iterations a second. A gap or a glitch, where asked
    for, lies in the second burst.
    """
    folder.mkdir()
    start_s = LOCAL_START.timestamp() - UTC_OFFSET_S
    manifest = {
        "hardware": "A100",
        "model": "Qwen/Qwen3-8B",
        "tp": 1,
        "clock": {
            "power_first_timestamp": LOCAL_START.strftime("%Y/%m/%d %H:%M:%S.000"),
            "local_utc_offset_s": UTC_OFFSET_S,
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    rng = np.random.default_rng(7)
    lines = ["t,gpu0"]
    for i in range(int(duration_s / 0.25)):
        at_s = 0.25 * i
        if 35.0 < at_s < 35.0 + gap_s:
            continue
        watts = BUSY_W if _bursts(at_s) else IDLE_W
        watts += jitter_w * float(rng.standard_normal())
        if glitch and at_s == 35.0:
            watts = 98.0
        moment = LOCAL_START + timedelta(seconds=at_s)
        lines.append(f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d},{watts:.2f}")
    (folder / "power.csv").write_text("\n".join(lines) + "\n")
    lines = ["epoch,running,waiting,kv,prompt_total,generation_total,iterations"]
    fine_s = np.arange(0, duration_s, 0.005)
    iterations = np.cumsum(_bursts(fine_s)) * 0.005 * 40
    for at_s in np.arange(ENGINE_LAG_S + engine_delay_s, duration_s + engine_delay_s, 0.25):
        busy = bool(_bursts(at_s))
        steps = float(np.interp(at_s, fine_s, iterations))
        lines.append(
            f"{start_s + at_s:.3f},{4.0 * busy},0,{4e-5 * (1 + 99 * busy)},"
            f"{400 * (1 + at_s // 20):.0f},{round(4 * steps)},{round(steps)}"
        )
    (folder / "engine.csv").write_text("\n".join(lines) + "\n")
    return start_s


def write_prompts(folder: Path, late_s: float) -> None:
    """A run whose power log's clock is `late_s` ahead: decoding throughout, and each sample that
    falls into one of 150 prompts half as high again. Its client timed first tokens."""
    folder.mkdir()
    manifest = {"hardware": "A100", "model": "Qwen/Qwen3-8B", "tp": 1}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    rng = np.random.default_rng(11)
    tokens = rng.integers(300, 1500, 150)
    done_s = PROMPTS_START_S + np.cumsum(rng.uniform(0.4, 1.2, 150))
    took_s = tokens / 11_000.0
    busy_s = PROMPTS_START_S, done_s[-1] + 2.0
    header = "timestamp,index,power.draw"
    lines = [header]
    for at_s in np.arange(EPOCH_S, done_s[-1] + 20.0, 0.25):
        working = busy_s[0] <= at_s < busy_s[1]
        prompt = ((done_s - took_s <= at_s) & (at_s < done_s)).any()
        watts = (430.0 if prompt else BUSY_W if working else IDLE_W) + rng.normal(0.0, 4.0)
        stamp = datetime.fromtimestamp(at_s + METER_LAG_S + late_s, UTC)
        lines.append(f"{stamp.isoformat()},0,{watts:.1f}")
    (folder / "power.csv").write_text("\n".join(lines) + "\n")
    lines = ["epoch,running,waiting,kv,prompt_total,generation_total,iterations"]
    counted = np.concatenate([[0], np.cumsum(tokens)])
    for at_s in np.arange(EPOCH_S + 0.13, done_s[-1] + 20.0, 0.25):
        working = busy_s[0] <= at_s < busy_s[1]
        steps = round(40 * float(np.clip(at_s, *busy_s) - busy_s[0]))
        prompts = counted[np.searchsorted(done_s, at_s, side="right")]
        lines.append(
            f"{at_s:.3f},{4 * working},0,{4e-5 * (1 + 99 * working)},{prompts},{4 * steps},{steps}"
        )
    (folder / "engine.csv").write_text("\n".join(lines) + "\n")
    rows = [
        f"{done - took - 0.01:.4f},{count},40,{took + 0.01:.4f}"
        for done, took, count in zip(done_s, took_s, tokens, strict=True)
    ]
    header = "start,input_tokens,output_tokens,ttft"
    (folder / "requests.csv").write_text("\n".join([header, *rows]) + "\n")


def _bursts(at_s: float | np.ndarray) -> np.ndarray:
    return np.asarray(at_s) % (2 * BURST_S) >= BURST_S
