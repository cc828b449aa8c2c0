"""Size and opening time of a day's report: python -m benchmarks.report [--results FILE.h5]

Without --results, `scenarios/site-240.yaml` is played first, a whole day of 240 servers, which
takes minutes. The page is then made, and opened in headless Chromium, each time with a new
profile; what is told is the time from the start of the navigation until the page answers (`ready`)
and until the loads are drawn (`drawn`), by the browser's own clock, median and worst.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from selenium import webdriver

from benchmarks.speed import YARDSTICK
from dcsim.engine import simulate
from dcsim.report.page import run_page
from dcsim.results import Results
from dcsim.scenario.load import load

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE_S = 60.0
MARKS = {"ready_s": "ready", "drawn_s": "drawn timeline"}


def opening(page: Path) -> dict[str, float]:
    """Seconds until the page answers, and until its first chart is drawn, in a new browser."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}", "--window-size=1360,1000"):
            options.add_argument(flag)
        service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
        browser: Any = webdriver.Chrome(options=options, service=service)
        try:
            browser.get(page.as_uri())
            end = time.monotonic() + PATIENCE_S
            while time.monotonic() < end:
                found = browser.execute_script(
                    "return arguments[0].map((n) => (performance.getEntriesByName(n)[0] || {})"
                    ".startTime)",
                    list(MARKS.values()),
                )
                if all(found):
                    return {name: at / 1e3 for name, at in zip(MARKS, found, strict=True)}
                time.sleep(0.05)
        finally:
            browser.quit()
    raise SystemExit(f"{page} did not open within {PATIENCE_S:g} s")


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, help="a results file; else a day is played")
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.results
        if path is None:
            path = Path(folder) / "site-240.h5"
            scenario = Path(__file__).parents[1] / "scenarios" / "site-240.yaml"
            simulate(load(scenario, YARDSTICK), path).close()
        page = Path(folder) / "report.html"
        began = time.perf_counter()
        with Results.open(path) as results:
            page.write_text(run_page(results), encoding="utf-8")
        made_s = time.perf_counter() - began
        found = [opening(page) for _ in range(options.times)]
        told = {
            "page_mb": round(page.stat().st_size / 1e6, 2),
            "made_s": round(made_s, 2),
            **{
                name: {
                    "median": round(statistics.median(row[name] for row in found), 2),
                    "worst": round(max(row[name] for row in found), 2),
                }
                for name in MARKS
            },
        }
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
