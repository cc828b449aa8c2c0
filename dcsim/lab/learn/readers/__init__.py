"""Logs as they come: what meters and engines wrote, told apart by their content.

`power_log` and `engine_log` read any layout below; `detect_format` says what a file is, without
reading all of it. They say what stands in the file and clean nothing:
`dcsim.lab.learn.cleaning` does.

| module | layouts |
| --- | --- |
| `nvidia_smi` | `nvidia-smi --query-gpu=timestamp,...,power.draw --format=csv` in its variants |
| `dmon` | text tables of `dcgmi dmon` and `nvidia-smi dmon` |
| `dcgm` | DCGM exporter: scrapes, or a table exported from Prometheus |
| `vllm` | vLLM's metrics: scrapes with times, CSV, JSON lines; engine.csv of a run folder |
| `generic_csv` | power.csv of a run folder: local time of day, a column each GPU |
| `requests` | requests.csv of a run folder: what clients asked, read by `request_log` |
"""

from __future__ import annotations

from dcsim.lab.learn.readers.detect import detect_format, engine_log, power_log
from dcsim.lab.learn.readers.logs import ClientRequests, EngineLog, FirstTokens, PowerLog
from dcsim.lab.learn.readers.requests import read as request_log
from dcsim.lab.learn.readers.text import text_of

__all__ = [
    "ClientRequests",
    "EngineLog",
    "FirstTokens",
    "PowerLog",
    "detect_format",
    "engine_log",
    "power_log",
    "request_log",
    "text_of",
]
