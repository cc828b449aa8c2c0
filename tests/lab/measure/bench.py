"""Campaign files for tests."""

from __future__ import annotations

from pathlib import Path

from dcsim.lab.measure.campaign import Campaign, load_campaign

HEAD = """name: trial
endpoint: {url}
model: Qwen/Qwen3-8B
seed: 3
"""
SHORT = """parts:
  - name: load
    kind: rates
    rates: [2 req/s]
    duration: 10 s
    before: 1 s
    after: 1 s
    tokens: [{kind: fixed, prompt: 50, output: 20}]
"""


def written(folder: Path, url: str, parts: str = SHORT, more: str = "") -> Path:
    """A campaign file."""
    path = folder / "campaign.yaml"
    path.write_text(HEAD.format(url=url) + more + parts)
    return path


def campaign(folder: Path, url: str, parts: str = SHORT, more: str = "") -> Campaign:
    return load_campaign(written(folder, url, parts, more))
