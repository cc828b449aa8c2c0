"""Watts checked against what the board can draw: codes for no value, other units, damage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dcsim.errors import LogError
from dcsim.hardware.gpus import Gpu
from dcsim.lab.learn.readers import PowerLog

BLANK = 0x7FFFFFF0
"""From here on NVIDIA's tools mean no value: DCGM's blanks of 32 bits (0x7ffffff0 and on), of 64
bits and of floats (2**47 and on), NVML's -1 as an unsigned number. No GPU's power, in watts or in
milliwatts, is so large."""
BLANKS = ((0x7FFFFFF0, 0x7FFFFFFF), (2.0**47, 2.0**47 + 15), (2.0**63 - 1024, 2.0**63))
"""Those of DCGM exactly, for fields that may be large (energies)."""
MOST_SHARE = 1.5
"""Of a board's limit: moments above it are seen, so far above it none."""
LEAST_SHARE = 0.25
"""Of a board's idle watts: a log that never reaches that is in another unit."""
UNITS = ((1e3, "milliwatts"), (1e6, "microwatts"))


def is_blank(value: float) -> bool:
    """Whether a value of DCGM's, of whatever field, is one of its codes for none."""
    return any(low <= value <= high for low, high in BLANKS)


def gpu_named(hardware: str, gpus: Mapping[str, Gpu]) -> Gpu | None:
    """The catalogue's GPU for a name such as `H100` or `NVIDIA A100-SXM4-80GB`; None where it has
    none."""
    name = hardware.lower()
    words = name.replace("-", " ").split()
    for gpu in gpus.values():
        if name and (gpu.name.startswith(name) or gpu.name.split("-")[0] in words):
            return gpu
    return None


def plausible(power: PowerLog, board: Gpu | None) -> tuple[PowerLog, list[str]]:
    """The log without samples that are no watts of one GPU, and what was left out.

    Raises LogError for a log that is in another unit, or of more than one board.
    """
    watts_w = power.watts.copy()
    remarks = []
    blank = watts_w >= BLANK
    if blank.any():
        remarks.append(
            f"{int(blank.sum())} samples of {float(watts_w[blank][0]):.0f} W left out: the tool's "
            "code for no value"
        )
    negative = watts_w < 0
    if negative.any():
        remarks.append(f"{int(negative.sum())} samples below 0 W left out")
    watts_w[blank | negative] = np.nan
    known_w = watts_w[np.isfinite(watts_w)]
    if board is None or not len(known_w):
        return replace(power, watts=watts_w), remarks
    most_w = MOST_SHARE * board.nameplate_w
    board_words = f"{board.name}, whose limit is {board.nameplate_w:.0f} W"
    middle_w = float(np.median(known_w))
    if middle_w > most_w:
        in_unit = [
            name
            for factor, name in UNITS
            if LEAST_SHARE * board.ledger_power.idle_w <= middle_w / factor <= most_w
        ]
        why = f"{in_unit[0]}?" if in_unit else "the sum of several GPUs, or a server's?"
        raise LogError(f"a median of {middle_w:,.0f} W is no {board_words}: {why}")
    if float(known_w.max()) < LEAST_SHARE * board.ledger_power.idle_w:
        raise LogError(f"at most {float(known_w.max()):.3g} W is no {board_words}: kilowatts?")
    over = watts_w > most_w
    if over.any():
        remarks.append(
            f"{int(over.sum())} samples above {most_w:.0f} W left out: more than "
            f"{MOST_SHARE:g} times the limit of a {board.name}"
        )
        watts_w[over] = np.nan
    return replace(power, watts=watts_w), remarks
