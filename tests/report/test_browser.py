"""The page in a real browser: opened, clicked, zoomed, read by keyboard; nothing goes wrong.

Needs Chromium and its driver; screenshots are kept in `out/browser/`, to be looked at.
"""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest

from dcsim.engine import simulate
from dcsim.records import EventKind
from dcsim.report.page import run_page, study_page
from dcsim.scenario.load import load
from dcsim.studies.savings.lines import work_out
from tests.report.made_study import made_study
from tests.report.test_page import EVIL, evil_page

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

PROJECT = Path(__file__).parents[2]
SHOTS = PROJECT / "out" / "browser"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--window-size=1360,1000",
)  # fmt: skip
PATIENCE_S = 30.0
CALCULATED = {
    "other_nameplate_kw": 0.0,
    "elsewhere_nameplate_kw": 52.0,
    "limit_overhead": 1.04,
    "site_overhead": 1.35,
    "count": 30.0, "unit_nameplate_kw": 26.0, "limit_kw": 600.0, "mean_kw": 480.5, "peak_kw": 590.2,
    "tokens_a_year": 4.5e11, "energy_price": 0.11, "demand_price": 15.0, "contracted_price": 4.0,
    "fixed_price": 500.0, "grid_g_per_kwh": 400.0, "capital_per_kw": 12000.0, "interest": 0.08,
    "years": 5.0, "invest": None,
}  # fmt: skip
CENTRE = "{block: 'center', behavior: 'instant'}"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no Chromium here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    found = webdriver.Chrome(options=options, service=service)
    SHOTS.mkdir(parents=True, exist_ok=True)
    yield found
    found.quit()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a UPS's failure and of the next one's trip."""
    folder = tmp_path_factory.mktemp("story")
    scenario = load(PROJECT / "scenarios" / "feed-loss.yaml", duration="12 min")
    with simulate(scenario, folder / "run.h5") as results:
        (folder / "run.html").write_text(run_page(results), encoding="utf-8")
    return folder / "run.html"


def wait(said: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = said()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


def opened(browser: Any, page: Path) -> Any:
    browser.get_log("browser")  # what was said of another page
    browser.get(page.as_uri())
    wait(lambda: browser.execute_script("return document.documentElement.dataset.ready"), "page")
    return browser


def text(browser: Any, css: str) -> str:
    return str(browser.execute_script("return document.querySelector(arguments[0]).innerText", css))


def click(browser: Any, css: str) -> None:
    part = browser.find_element("css selector", css)
    browser.execute_script(f"arguments[0].scrollIntoView({CENTRE})", part)
    part.click()


def span_s(browser: Any) -> float:
    low, high = browser.execute_script(
        "return D.get('timeline')._fullLayout ? D.timeline.span() : [0, 0]"
    )
    return float(high) - float(low)


def errors(browser: Any) -> list[Any]:
    return [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def drawn(browser: Any, chart: str) -> None:
    browser.execute_script(f"D.get('{chart}').scrollIntoView({CENTRE})")
    wait(lambda: browser.execute_script(f"return !!D.get('{chart}')._fullLayout"), f"chart {chart}")


def test_the_story_of_a_run(browser: Any, story: Path) -> None:
    opened(browser, story)
    assert text(browser, "h1") == "feed-loss"
    drawn(browser, "timeline")
    assert span_s(browser) == 720.0

    # A click on a node shows its figures and its series.
    click(browser, "[data-node='utility/transformer/ups-b']")
    told = browser.execute_script(
        "return document.querySelector(arguments[0]).getAttribute('aria-label')",
        "[data-node='utility/transformer/ups-b']",
    )
    assert told.startswith("utility/transformer/ups-b: peak 1") and told.endswith("1 trip")
    assert text(browser, "#picked h3") == "utility/transformer/ups-b"
    shown = browser.execute_script(
        "return D.get('timeline').layout.annotations.map((a) => a.text).join(' ')"
    )
    assert "utility/transformer/ups-b" in shown
    browser.save_screenshot(str(SHOTS / "node.png"))

    # Zoom: by buttons to ten seconds, by keys, by dragging; and back.
    click(browser, "[data-go=flag]")
    click(browser, "[data-zoom='10']")
    assert span_s(browser) == 10.0
    assert "(10 s)" in text(browser, "#timeline-span")
    points = browser.execute_script("return D.series.view(0, ...D.timeline.span(), 1400)")
    assert points["finest_s"] == 0.25
    assert 40 <= len(points["x"]) <= 46
    browser.save_screenshot(str(SHOTS / "ten-seconds.png"))
    keys = webdriver.Keys
    chart = browser.find_element("id", "timeline")
    chart.send_keys(keys.ARROW_RIGHT, "-")
    assert span_s(browser) == 20.0
    click(browser, "[data-zoom=all]")
    assert span_s(browser) == 720.0
    area = browser.find_element("css selector", "#timeline .nsewdrag")
    chain = webdriver.ActionChains(browser).move_to_element_with_offset(area, -200, 0)
    chain.click_and_hold().move_by_offset(150, 0).move_by_offset(50, 0).release().perform()
    wait(lambda: 0 < span_s(browser) < 300, "a zoom by dragging")

    # The diagram by keyboard: to the first node, a step down, chosen.
    browser.execute_script("document.querySelector('#diagram [tabindex=\"0\"]').focus()")
    browser.switch_to.active_element.send_keys(keys.ARROW_DOWN)
    assert browser.switch_to.active_element.get_attribute("data-node") == "utility"
    browser.switch_to.active_element.send_keys(keys.ENTER)
    assert text(browser, "#picked h3") == "utility"

    # At 380 s of 720, the slider having 400 steps: the UPS that failed is dark, and takes nothing;
    # the next one trips a minute later.
    browser.execute_script(
        "const s = D.get('oneline-time'); s.value = 211; s.dispatchEvent(new Event('input'))"
    )
    assert "load at" in text(browser, "#oneline-when")
    failed = "[data-node='utility/transformer/ups-a'] .fill"
    assert browser.execute_script(
        "return Number(document.querySelector(arguments[0]).getAttribute('width'))", failed
    ) == pytest.approx(0, abs=0.5)
    dark = browser.execute_script(
        "return [...document.querySelectorAll('.node.dark')].map((part) => part.dataset.node)"
    )
    assert dark == ["utility/transformer/ups-a"]  # its rows live by their other feeds

    # Tables: only trips, then sorted by share of the rating.
    browser.execute_script(
        "[...document.querySelectorAll('#events-kinds button')]"
        ".filter((b) => !b.innerText.startsWith('trip')).forEach((b) => b.click())"
    )
    assert "2 of" in text(browser, "#events-count")
    click(browser, "#nodes-table th:nth-child(5) button")
    assert "ups" in text(browser, "#nodes-table tbody tr td")

    for chart_id in ("heat", "duration", "smoothing", "traffic"):
        drawn(browser, chart_id)
        height = browser.execute_script(f"return D.get('{chart_id}').clientHeight")
        assert height > 150
    fetched = browser.execute_script("return performance.getEntriesByType('resource').length")
    assert fetched == 0
    assert errors(browser) == []


def test_dark_and_paper(browser: Any, story: Path) -> None:
    opened(browser, story)
    for theme in ("light", "dark"):
        browser.execute_script(
            "if (document.documentElement.dataset.theme !== arguments[0]) D.get('theme').click()",
            theme,
        )
        height = browser.execute_script("return document.documentElement.scrollHeight")
        browser.set_window_size(1360, height)
        for chart in ("timeline", "heat", "duration", "smoothing", "traffic"):
            drawn(browser, chart)
        browser.save_screenshot(str(SHOTS / f"page-{theme}.png"))
    browser.set_window_size(1360, 1000)
    ink = browser.execute_script("return getComputedStyle(document.body).color")
    assert ink == "rgb(233, 238, 242)"
    paper = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(paper["data"]) > 100_000
    assert errors(browser) == []


def test_names_run_nothing(browser: Any, tmp_path: Path) -> None:
    page = tmp_path / "evil.html"
    page.write_text(evil_page(tmp_path / "evil.h5"), encoding="utf-8")
    opened(browser, page)
    for chart in ("timeline", "heat", "duration", "smoothing", "traffic"):
        drawn(browser, chart)
    browser.execute_script("D.choose(1)")
    assert text(browser, "h1") == EVIL
    assert text(browser, "#picked h3") == EVIL
    drawn_names = browser.execute_script(
        "return [...document.querySelectorAll('#timeline .annotation-text')]"
        ".map((part) => part.textContent).join(' ')"
    )
    assert EVIL in drawn_names
    assert errors(browser) == []  # and no alert stands in the way of asking


def test_a_screen_reader_is_told_what_everything_is(browser: Any, story: Path) -> None:
    opened(browser, story)
    nameless = browser.execute_script(
        "return [...document.querySelectorAll('select, input, button, [role=img], [role=button]')]"
        ".filter((e) => !(e.getAttribute('aria-label') || e.innerText.trim() ||"
        " (e.labels && e.labels.length))).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert nameless == []
    levels = browser.execute_script(
        "return [...document.querySelectorAll('h1, h2, h3')].map((h) => Number(h.tagName[1]))"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_a_study(browser: Any, tmp_path: Path) -> None:
    page = tmp_path / "study.html"
    page.write_text(study_page(made_study(tmp_path / "study")), encoding="utf-8")
    opened(browser, page)
    assert text(browser, ".headline").endswith("fix <it> by then.")
    for number in range(4):
        drawn(browser, f"plot-{number}")
    limits = browser.execute_script("return D.get('plot-0')._fullLayout.shapes.map(s => s.y0)")
    assert limits == [750e3, 600e3, 17e3]
    first = "#table-0 tbody tr:first-child"
    click(browser, "#table-0 thead th:nth-child(4) button")
    assert "979.1 kW" in text(browser, first)  # site after 36 months at 2 %
    click(browser, "#table-0 thead th:nth-child(4) button")
    assert "9.00 kW" in text(browser, first)
    browser.find_element("css selector", "#table-0-find").send_keys("a<b")
    assert text(browser, "#table-0-count") == "37 of 111 rows"
    browser.save_screenshot(str(SHOTS / "study.png"))
    assert errors(browser) == []


def test_the_return_calculator(browser: Any, tmp_path: Path) -> None:
    """Its arithmetic is the study's, and an input changed is worked out anew."""
    lines = work_out(CALCULATED)
    tables = {
        "inputs": pd.DataFrame(
            [
                {"name": name, "value": value, "unit": "", "origin": "given", "about": "a <b>"}
                for name, value in CALCULATED.items()
            ]
        ),
        "lines": pd.DataFrame(lines),
    }
    page = tmp_path / "savings.html"
    page.write_text(study_page(made_study(tmp_path / "s", more=tables)), encoding="utf-8")
    opened(browser, page)
    known = browser.execute_script("return D.calculator.work()")
    for line in lines:
        if line["missing"]:
            assert known[line["name"]] is None, line
        else:
            assert known[line["name"]] == pytest.approx(line["value"], rel=1e-6), line
    assert text(browser, "#line-payback_years") == "unknown"
    field = browser.find_element("css selector", "#input-invest")
    browser.execute_script(f"arguments[0].scrollIntoView({CENTRE})", field)
    field.send_keys("50000")
    changed = {row["name"]: row["value"] for row in work_out({**CALCULATED, "invest": 50e3})}
    told = text(browser, "#line-payback_years")
    assert float(told) == pytest.approx(changed["payback_years"], rel=1e-4)
    browser.save_screenshot(str(SHOTS / "calculator.png"))
    click(browser, "#calculator-reset")
    assert text(browser, "#line-payback_years") == "unknown"
    assert errors(browser) == []


def test_what_policies_did_is_marked(browser: Any, tmp_path: Path) -> None:
    scenario = load(PROJECT / "scenarios" / "polca-row.yaml", duration="4 min")
    with simulate(scenario, tmp_path / "run.h5") as results:
        kinds = list(results.events()["kind"])
        (tmp_path / "run.html").write_text(run_page(results), encoding="utf-8")
    acted = sum(kind in ("limited", "braked") for kind in kinds)
    assert acted and "released" in kinds
    opened(browser, tmp_path / "run.html")
    drawn(browser, "timeline")
    colour = browser.execute_script("return D.css('s7')")
    lines = browser.execute_script(
        "return D.get('timeline').layout.shapes.filter((s) => s.line.color === arguments[0])"
        ".map((s) => s.yref)",
        colour,
    )
    assert len(set(lines)) == 4  # site, row, server and the lane of flags
    assert len(lines) == 4 * acted
    marks = browser.execute_script(
        "return D.get('timeline').data.filter((t) => t.mode === 'markers').at(-1).marker.symbol"
    )
    assert sorted(marks) == sorted(
        {"limited": "diamond", "braked": "diamond-x", "released": "diamond-open"}[kind]
        for kind in kinds
        if kind in ("limited", "braked", "released")
    )
    browser.save_screenshot(str(SHOTS / "policy.png"))
    click(browser, "#events-find")
    browser.find_element("id", "events-find").send_keys("dual-threshold")
    assert f"{len(marks)} of" in text(browser, "#events-count")
    assert errors(browser) == []


def test_each_kind_of_flag_has_its_own_mark(browser: Any, story: Path) -> None:
    """All kinds of the facility, and none that it does not raise; Plotly knows each mark."""
    opened(browser, story)
    classes = browser.execute_script("return D.model.flags")
    marks = {
        kind: (lane["colour"], mark) for lane in classes for kind, mark in lane["marks"].items()
    }
    assert sorted(marks) == sorted(get_args(EventKind))
    assert len(set(marks.values())) == len(marks)
    assert len({lane["colour"] for lane in classes}) == len(classes)
    known = set(
        browser.execute_script(
            "return Plotly.PlotSchema.get().traces.scatter.attributes.marker.symbol.values"
        )
    )
    assert {mark for _, mark in marks.values()} <= known


def test_breaches_and_chances_are_drawn(browser: Any, tmp_path: Path) -> None:
    loads = pd.DataFrame(
        [
            {"node": f"n{n}", "factor": f, "of_limit": f * (1 - 0.05 * n), "limit_w": 1e3}
            for n in range(12)
            for f in (0.8, 1.0, 1.2)
        ]
    )
    breaches = pd.DataFrame(
        {"node": ["n0"], "factor": [1.0], "factor_low": [0.1], "factor_high": [1.1],
         "date": ["2027-05-19"]}
    )  # fmt: skip
    candidates = pd.DataFrame(
        {"policy": ["p", "p", "q"], "count": [60, 62, 62], "fail_low": [0.0, 0.1, 0.0],
         "fail_high": [0.3, 0.5, 0.2]}
    )  # fmt: skip
    folder = made_study(
        tmp_path / "s",
        more={"loads": loads, "breaches": breaches, "candidates": candidates},
        inputs={"max_trip": 0.25},
        plots=[
            {"table": "loads", "title": "shares", "x": "factor", "y": ["of_limit"], "by": "node"}
        ],
    )
    (tmp_path / "s.html").write_text(study_page(folder), encoding="utf-8")
    opened(browser, tmp_path / "s.html")
    drawn(browser, "plot-1")
    ends = browser.execute_script("return D.get('plot-1').data.map((t) => t.y)")
    assert ends == [[0, 0.3, None, 0.1, 0.5, None], [0, 0.2, None]]
    drawn(browser, "plot-0")
    assert "The 8 highest of 12 lines" in text(browser, "#plot-0-note")
    layout = "D.get('plot-0').layout"
    said = browser.execute_script(f"return {layout}.annotations.map((a) => a.text).join(' ')")
    assert "the limit" in said and "n0 2027-05-19" in said
    low, high = browser.execute_script(f"return {layout}.xaxis.range")
    assert 0.7 < low < 0.8 and 1.2 < high < 1.3  # not the far end of the interval
    assert "n0 meets its limit" in str(
        browser.find_element("id", "plot-0").get_attribute("aria-label")
    )
    # Sorting by keyboard keeps the place.
    head = browser.find_element("css selector", "#table-0 thead th:nth-child(2) button")
    head.send_keys(webdriver.Keys.ENTER)
    assert "date" in browser.switch_to.active_element.text
    browser.save_screenshot(str(SHOTS / "growth.png"))
    assert errors(browser) == []
