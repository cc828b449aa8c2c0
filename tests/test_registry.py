"""Components of other packages: named in a scenario file, checked, described, refused in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from dcsim import registry
from dcsim.cli import app
from dcsim.errors import PluginError, ScenarioError
from dcsim.scenario.dump import dump
from dcsim.scenario.load import loads
from dcsim.scenario.models import Spec
from tests import plugins
from tests.engine.sites import site

pytestmark = pytest.mark.filterwarnings("ignore:dcsim-hush:UserWarning")
PYPROJECT = """
[project]
name = "dcsim-hush"
version = "1.2"

[project.entry-points."dcsim.policies"]
hush = "hush_policy:Hush"
no-spec = "hush_policy:NoSpec"
misnamed = "hush_policy:Hush"
lost = "hush_policy:Lost"

[project.entry-points."dcsim.power_models"]
broken = "hush_broken:Broken"
"""
MODULE = '''
from typing import Literal

from pydantic import Field

from dcsim.scenario.models import Spec
from dcsim.spec.units import Watts


class HushSpec(Spec):
    """Says nothing."""

    policy: Literal["hush"]
    """The policy."""
    quiet_w: Watts = Field(alias="quiet")
    """How quiet it is to be."""


class Hush:
    Spec = HushSpec
    period_s = 1.0
    delay_s = 0.0

    def __init__(self, spec):
        self.spec = spec

    def start(self, site):
        return None

    def decide(self, now_s, telemetry):
        return [1 / 0]


class NoSpec:
    pass
'''


@pytest.fixture
def hush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package is installed."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(PYPROJECT)
    (project / "hush_policy.py").write_text(MODULE)
    (project / "hush_broken.py").write_text("import a_module_that_is_not_there\n")
    with plugins.installed(tmp_path, monkeypatch):
        yield


def problem(**changes: object) -> str:
    with pytest.raises(ScenarioError) as caught:
        site(**changes)
    assert len(caught.value.problems) == 1
    return str(caught.value)


@pytest.mark.usefixtures("hush")
def test_a_policy_of_another_package_is_read_and_written_back() -> None:
    scenario = site(control="[{policy: hush, quiet: 3 kW}, {policy: row-budget}]")
    assert [spec.policy for spec in scenario.control] == ["hush", "row-budget"]
    assert scenario.control[0].quiet_w == 3000.0  # type: ignore[union-attr]
    assert "quiet: 3 kW" in dump(scenario)
    assert loads(dump(scenario)) == scenario


@pytest.mark.usefixtures("hush")
def test_what_is_wrong_in_its_block_is_told_like_any_other() -> None:
    assert problem(control="[{policy: hush}]") == (
        "<text>:23: control.0.quiet: required key is missing (such as '600 kW')"
    )
    wrong = problem(control="[{policy: hush, quiet: 3 kW, quite: 2}]")
    assert wrong == "<text>:23: control.0.quite: unknown key (did you mean 'quiet'?)"
    assert problem(control="[{policy: hush, quiet: 3}]").startswith(
        "<text>:23: control.0.quiet: expected a quantity with its unit"
    )


@pytest.mark.usefixtures("hush")
def test_a_wrong_name_is_told_those_of_packages_too() -> None:
    assert "did you mean 'hush'?" in problem(control="[{policy: hsuh}]")
    assert "did you mean 'row-budget'?" in problem(control="[{policy: row-buget}]")
    assert "'broken'?" in problem(power="{model: brocken}")


@pytest.mark.usefixtures("hush")
def test_a_former_name_stays_known_beside_packages() -> None:
    with pytest.warns(FutureWarning):
        assert site(power="{model: nameplate}").servers[0].power.model == "board-limit"


@pytest.mark.usefixtures("hush")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"power": "{model: broken}"},
            "dcsim-hush 1.2: entry point 'broken = hush_broken:Broken' of dcsim.power_models "
            "cannot be imported (ModuleNotFoundError: No module named 'a_module_that",
        ),
        (
            {"control": "[{policy: lost}]"},
            "dcsim-hush 1.2: entry point 'lost = hush_policy:Lost' of dcsim.policies cannot be "
            "imported (AttributeError",
        ),
        ({"control": "[{policy: no-spec}]"}, "`Spec` must be a pydantic model"),
        (
            {"control": "[{policy: misnamed}]"},
            "its Spec HushSpec must have the field `policy: Literal['misnamed']`",
        ),
    ],
    ids=["import", "attribute", "spec", "name"],
)
def test_a_package_that_cannot_be_used_is_named(changes: dict[str, object], words: str) -> None:
    assert words in problem(**changes)


@pytest.mark.usefixtures("hush")
def test_a_broken_package_spoils_only_what_names_it() -> None:
    assert site(control="[{policy: hush, quiet: 3 kW}]", power="{model: ledger}")


@pytest.mark.usefixtures("hush")
def test_explain_and_schema_know_it() -> None:
    runner = CliRunner()
    told = runner.invoke(app, ["explain", "control.*.quiet"])
    assert told.exit_code == 0, told.output
    assert "How quiet it is to be." in told.output
    assert "only with policy: hush" in told.output
    with pytest.warns(UserWarning, match="dcsim-hush"):
        made = json.loads(runner.invoke(app, ["schema"]).stdout)
    (kinds,) = [
        part["items"]["anyOf"] for name, part in made["properties"].items() if name == "control"
    ]
    (ours,) = [kind for kind in kinds if "properties" in kind]
    assert ours["properties"]["quiet"]["description"] == "How quiet it is to be."
    assert ours["description"] == "Says nothing."
    assert {"title", "default"}.isdisjoint(ours)


def test_two_packages_may_not_share_a_name(
    hush: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "other"
    project.mkdir()
    text = PYPROJECT.replace("dcsim-hush", "dcsim-shout")
    (project / "pyproject.toml").write_text(text)
    plugins.install(project, tmp_path / "other-site")
    monkeypatch.syspath_prepend(str(tmp_path / "other-site"))
    registry.refresh()
    told = problem(control="[{policy: hush, quiet: 3 kW}]")
    assert "is declared by dcsim-hush 1.2 and dcsim-shout 1.2: uninstall one" in told


class Named(Spec):
    policy: Literal["named"]


def test_a_component_is_registered_by_a_call() -> None:
    try:
        registry.register("policies", "named", Named, object)
        assert site(control="[{policy: named}]").control[0].policy == "named"
        with pytest.raises(PluginError, match="there is a 'named' already"):
            registry.register("policies", "named", Named, dict)
    finally:
        registry._registered.pop(("policies", "named"))


@pytest.mark.parametrize("spec", [None, dict, BaseModel])
def test_a_spec_must_name_its_component(spec: type[BaseModel]) -> None:
    with pytest.raises(PluginError, match="Spec"):
        registry.register("policies", "named", spec, object)


@pytest.mark.usefixtures("hush")
def test_a_fault_of_a_package_is_laid_at_its_door() -> None:
    from dcsim.control.registry import build

    policy = build(site(control="[{policy: hush, quiet: 3 kW}]").control[0])
    with pytest.raises(ZeroDivisionError) as caught:
        policy.decide(0.0, None)  # type: ignore[arg-type]
    assert registry.culprit(caught.value) == "dcsim-hush 1.2"
    with pytest.raises(ZeroDivisionError) as own:
        _ = 1 / 0
    assert registry.culprit(own.value) == ""


@pytest.mark.usefixtures("hush")
def test_a_package_that_changes_makes_other_runs(tmp_path: Path) -> None:
    """Runs of a study are known by their content, and the package's code is part of that."""
    from dcsim.studies.jobs import job

    scenario = site(control="[{policy: hush, quiet: 3 kW}]")
    before = job(scenario, 1).key
    assert job(scenario, 1).key == before
    module = tmp_path / "site-packages" / "hush_policy.py"
    module.write_text(module.read_text() + "# another law\n")
    assert job(scenario, 1).key != before
