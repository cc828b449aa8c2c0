"""Meters beside NVML: DCGM through its exporter, and the server's own wall power."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Callable

from dcsim.errors import MeasureError
from dcsim.lab.learn.plausible import is_blank
from dcsim.lab.measure.campaign import IpmiMeter, RedfishMeter
from dcsim.lab.measure.errors import SampleError
from dcsim.lab.measure.scrape import Page
from dcsim.lab.prometheus import Sample, samples

DCGM = re.compile(rb"^(DCGM_FI_(?:DEV|PROF)_\w+)(\{[^\n]*\})?[ \t]+([^\s]+)", re.MULTILINE)
_WATTS = re.compile(r"Instantaneous power reading:\s*(\d+)\s*Watts")
IPMI_TIMEOUT_S = 5.0


def dcgm_reader(url: str) -> Callable[[], list[Sample]]:
    """Reads all of an exporter's fields. Raises MeasureError where it has none."""
    page = Page(url)

    def read() -> list[Sample]:
        fields = [sample for sample in samples(page.fetch(), DCGM) if not is_blank(sample[2])]
        if not fields:
            raise SampleError(f"{url}: no field of DCGM")
        return fields

    try:
        read()
    except SampleError as error:
        raise MeasureError(f"meter.dcgm: {error}") from None
    return read


def server_reader(spec: IpmiMeter | RedfishMeter) -> Callable[[], float]:
    """Reads the server's wall watts. Raises MeasureError where they cannot be had."""
    read = _ipmi() if isinstance(spec, IpmiMeter) else _redfish(spec)
    try:
        read()
    except SampleError as error:
        raise MeasureError(f"meter.server: {error}") from None
    return read


def _ipmi() -> Callable[[], float]:
    def read() -> float:
        try:
            done = subprocess.run(
                ["ipmitool", "dcmi", "power", "reading"],
                capture_output=True,
                text=True,
                timeout=IPMI_TIMEOUT_S,
                check=False,
            )
        except FileNotFoundError:
            raise SampleError("there is no program ipmitool") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SampleError(f"ipmitool: {error}") from None
        match = _WATTS.search(done.stdout)
        if done.returncode or match is None:
            output = (done.stderr or done.stdout).strip().splitlines()
            raise SampleError(f"ipmitool: {output[0] if output else 'no power reading'}")
        return float(match[1])

    return read


def _redfish(spec: RedfishMeter) -> Callable[[], float]:
    headers = {"Accept": "application/json"}
    if spec.user_env is not None or spec.password_env is not None:
        named = [spec.user_env or "", spec.password_env or ""]
        unset = [name or "(no name)" for name in named if not os.environ.get(name)]
        if unset:
            raise MeasureError(
                f"meter.server: the environment variable {', '.join(unset)} is not set"
            )
        pair = ":".join(os.environ[name] for name in named)
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    page = Page(spec.url, timeout_s=IPMI_TIMEOUT_S, headers=headers)

    def read() -> float:
        try:
            answer = json.loads(page.fetch())
            # `Power` of a chassis (DSP2046, deprecated but everywhere), or `EnvironmentMetrics`.
            if "PowerControl" in answer:
                return float(answer["PowerControl"][0]["PowerConsumedWatts"])
            return float(answer["PowerWatts"]["Reading"])
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise SampleError(f"{spec.url}: no watts there ({error!r})") from None

    return read
