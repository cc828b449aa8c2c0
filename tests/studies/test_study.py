"""A study's fields are its options, its inputs and the tables of its page."""

from __future__ import annotations

import inspect
import json
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import pytest
from typer.testing import CliRunner

import dcsim.studies
from dcsim import registry
from dcsim.cli import app
from dcsim.errors import StudyError
from dcsim.scenario.models import Scenario
from dcsim.spec.units import Seconds, Watts
from dcsim.studies import Answer, Runner, Study, SweepStudy, publish
from dcsim.studies.options import Numbers, Seeds, Texts, Times, Typed, must, options_of
from dcsim.studies.reference import MARK, filled
from tests.docs.pages import PROJECT
from tests.studies.small import TEXT, small

PAGES = sorted((PROJECT / "docs" / "studies").glob("*.md"))


class ManyStudy(Study):
    """Does every kind of field arrive?"""

    names: Texts
    """Names."""
    factors: Numbers = (1.0,)
    """Factors."""
    windows_s: Times = (60.0,)
    """Averaging times."""
    limit_w: Watts | None = None
    """The limit. None: the rating."""
    nodes: Annotated[tuple[str, ...], Typed(flag="node", metavar="NODE")] = ()
    """Nodes."""
    seeds: Seeds = 3
    """Seeds."""
    window_s: Seconds = 900.0
    """Averaging time."""
    share: Annotated[float, must(lambda share: share < 1.0, "below 1, such as 0.5")] = 0.5
    """A share."""
    paired: bool = False
    """By position."""
    kept: bool = True
    """Whether runs are kept."""

    def play(self, scenario: Scenario, runner: Runner) -> Answer:
        return Answer(
            headline=(scenario.name,),
            reasons=(),
            uncertainty=(),
            inputs={"seeds": (1, 2)},
            figures={},
            tables={},
        )


def test_an_option_is_named_and_typed_by_its_field() -> None:
    told = {option.field: option for option in options_of(ManyStudy)}
    assert [option.flag for option in told.values()] == [
        "--names",
        "--factors",
        "--windows",
        "--limit",
        "--node",
        "--seeds",
        "--window",
        "--share",
        "--paired",
        "--kept",
    ]
    assert told["names"].required
    assert not told["names"].repeated, "one text a,b"
    assert told["nodes"].repeated
    assert told["paired"].switch
    assert (told["window_s"].metavar, told["window_s"].default) == ("TIME", "15 min")
    assert (told["limit_w"].default, told["limit_w"].instead) == (None, "the rating")


def test_texts_and_values_make_the_same_study() -> None:
    typed = ManyStudy.build(
        names="a, b",
        factors="1:2:0.5",
        windows_s="1 s, 1 min",
        limit_w="2 kW",
        nodes=["row"],
        seeds="4,5",
        window_s="1 min",
    )
    assert typed == ManyStudy(
        names=("a", "b"),
        factors=(1.0, 1.5, 2.0),
        windows_s=(1.0, 60.0),
        limit_w=2000.0,
        nodes=("row",),
        seeds=(4, 5),
        window_s=60.0,
    )


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        ({}, ["--names: required key is missing (expected a list)"]),
        ({"window_s": "5"}, ["--window: '5' is not a quantity such as '250 ms'"]),
        ({"windows_s": "1 s,5"}, ["--windows: '5' is not a quantity such as '250 ms'"]),
        (
            {"seeds": "few"},
            ["--seeds: 'few' is neither a number of seeds nor a list such as 1,2,9"],
        ),
        ({"seeds": [-1]}, ["--seeds: a seed is 0 or more"]),
        ({"share": 2}, ["--share: below 1, such as 0.5"]),
        (
            {"share": 2, "factors": "one"},
            [
                "--factors: 'one' is neither a list such as 1,1.5,2 nor a range 1:2:0.1",
                "--share: below 1, such as 0.5",
            ],
        ),
        ({"windw_s": 5.0}, ["windw_s: unknown key (did you mean 'window_s'?)"]),
    ],
)
def test_each_problem_is_a_line_that_names_the_option(
    values: dict[str, Any], problems: list[str]
) -> None:
    with pytest.raises(StudyError) as error:
        ManyStudy.build(**({"names": "a"} if values else {}), **values)
    assert list(error.value.problems) == problems


def test_a_study_is_published_as_a_command_and_a_function(tmp_path: Path) -> None:
    try:
        many = publish("many", ManyStudy)
        assert list(inspect.signature(many).parameters)[:2] == ["scenario", "names"]
        answer = many(small(), ["a"], limit_w=5.0, kept=False)
        file = tmp_path / "small.yaml"
        file.write_text(TEXT)
        words = ["study", "many", str(file), "--names", "a", "--limit", "5 W", "--json"]
        printed = json.loads(CliRunner().invoke(app, [*words, "--no-kept"]).stdout)
        default = json.loads(CliRunner().invoke(app, words).stdout)
    finally:
        registry._registered.pop(("studies", "many"))
    assert (answer.study, answer.headline) == ("many", ("small",))
    assert default["inputs"] == answer.inputs | {"kept": True}
    assert (printed["study"], printed["inputs"]) == ("many", answer.inputs)
    assert answer.inputs == {
        "names": ["a"],
        "factors": [1.0],
        "windows_s": [60.0],
        "limit_w": 5.0,
        "nodes": [],
        "seeds": [1, 2],
        "window_s": 900.0,
        "share": 0.5,
        "paired": False,
        "kept": False,
    }


def test_inputs_put_the_same_question_again() -> None:
    answer = dcsim.studies.sweep(small(), {"power_step": ["1 s"]})
    again = SweepStudy.build(**answer.inputs)
    assert again == SweepStudy(over={"power_step": ["1 s"]}, seeds=(1,))


def test_the_schema_of_inputs_is_in_si_units() -> None:
    schema = ManyStudy.inputs_schema()
    assert schema["required"] == ["names"]
    assert schema["properties"]["window_s"] == {
        "type": "number",
        "default": 900.0,
        "description": "Averaging time.",
    }
    assert schema["properties"]["windows_s"]["items"] == {"type": "number"}
    assert schema["properties"]["limit_w"]["anyOf"] == [{"type": "number"}, {"type": "null"}]


@pytest.mark.parametrize("name", registry.names("studies"))
def test_the_schema_of_each_study_is_printed(name: str) -> None:
    shown = json.loads(CliRunner().invoke(app, ["schema", "--study", name]).stdout)
    fields = registry.find("studies", name).spec.model_fields  # type: ignore[union-attr]
    assert set(shown["properties"]) == set(fields)
    assert all(part["description"] for part in shown["properties"].values())


def test_an_unknown_study_has_no_schema() -> None:
    done = CliRunner().invoke(app, ["schema", "--study", "swep"])
    assert done.exit_code == 2
    assert done.output == "--study: there is no 'swep' (did you mean 'sweep'?)\n"


def test_a_growth_study_knows_dates() -> None:
    study = dcsim.studies.GrowthStudy.build(start="2027-01-01", per_month="5 %")
    assert study.start == date(2027, 1, 1)


def test_every_page_of_a_study_has_its_options() -> None:
    texts = {page.stem: page.read_text(encoding="utf-8") for page in PAGES}
    marked = {name for text in texts.values() for name in MARK.findall(text)}
    components = {name: registry.find("studies", name) for name in registry.names("studies")}
    # What other packages, or tests with packages of their own, have registered has no page here.
    ours = {
        name
        for name, item in components.items()
        if item and item.spec.__module__.startswith("dcsim.")
    }
    assert marked == ours
    for name, text in texts.items():
        assert filled(text) == text, f"run `make reference` for docs/studies/{name}.md"


def test_the_nearest_study_is_suggested() -> None:
    done = CliRunner().invoke(app, ["study", "swep"])
    assert done.exit_code == 2
    assert "Did you mean 'sweep'?" in done.output
