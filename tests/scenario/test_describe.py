"""Every key of a scenario file is described, from the models that check it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from dcsim.scenario import loads
from dcsim.scenario.describe import Key, keys, keys_of, models_in, quantity
from dcsim.scenario.find import below, find, near, top
from dcsim.scenario.json_schema import json_schema, schema_text
from dcsim.scenario.models import Fault, Scenario, ServerGroup, Spec
from dcsim.scenario.reference import filled
from dcsim.spec.base import UNSAID, may_be_unsaid
from dcsim.spec.units import BYTE_RATE, SECOND, WATT, parse_quantity
from tests.scenario.sample import GOOD
from tests.scenario.schema_check import complaints

PROJECT = Path(__file__).parents[2]


def one(path: str, kind: str = "") -> Key:
    found = [key for key in keys() if key.path == path and (not kind or kind in key.kinds)]
    assert len(found) == 1, [key.kinds for key in found]
    return found[0]


def test_every_key_is_told_in_full() -> None:
    assert len(keys()) > 300
    for key in keys():
        assert key.meaning, key
        assert key.type, key
        assert "None" not in key.meaning, key
        assert key.default, key
        # Blocks are left to the keys in them.
        assert key.example or "block" in key.type, key
        if key.choices and key.default not in ("required", "none") and "block" not in key.type:
            assert key.default.strip("`") in key.choices or " " in key.default, key


def test_keys_are_those_of_a_whole_scenario() -> None:
    data = Scenario.model_validate(yaml.safe_load(GOOD)).model_dump(by_alias=True)
    assert {key.path for key in keys() if "." not in key.path} == set(data)


@pytest.mark.parametrize(
    ("path", "kind", "kind_of_value", "default", "example"),
    [
        ("duration", "", "time with its unit", "required", "1 h"),
        ("power_step", "", "time with its unit", "250 ms", "250 ms"),
        ("servers.*.engine.max_num_seqs", "", "whole number, 1 or more", "256", "256"),
        ("servers.*.engine.queue_limit", "", "whole number, 1 or more", "no limit", "8"),
        ("servers.*.power.extrapolate", "", "true or false", "false", "true"),
        ("servers.*.kv_transfer.bandwidth", "", "bandwidth with its unit", "50 GB/s", "50 GB/s"),
        ("facility.*.feeds", "", "list of text", "none", "[ups-a, ups-b]"),
        ("facility.*.breaker.rating", "", "power with its unit", "the node's", "600 kW"),
        ("workload.*.arrivals.cv", "kind: gamma", "number, 0.01 or more, up to 30", "none", "0.51"),
    ],
)  # fmt: skip
def test_a_key(path: str, kind: str, kind_of_value: str, default: str, example: str) -> None:
    key = one(path, kind)
    assert key.type.startswith(kind_of_value)
    assert (key.default, key.example) == (default, example)


def test_the_sentence_on_nothing_is_the_default() -> None:
    key = one("servers.*.power.pack")
    assert key.default == "the shipped pack of the GPU"
    assert key.meaning.startswith("Name of a shipped pack, or path of an `.h5` file (")
    assert key.meaning.endswith("for a replay).")


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (SECOND, 0.25, "250 ms"),
        (SECOND, 5400.0, "1.5 h"),
        (SECOND, 0.0, "0 s"),
        (BYTE_RATE, 50e9, "50 GB/s"),
        (WATT, 600e3, "600 kW"),
    ],
)
def test_quantities_are_written_as_people_do(unit: Any, value: float, text: str) -> None:
    assert quantity(unit, value) == text
    assert parse_quantity(text, unit.name, "") == pytest.approx(value)


# --- from what is typed to a key -------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("servers.*.engine.max_num_seqs", "servers.*.engine.max_num_seqs"),
        ("servers.a100.engine.max_num_seqs", "servers.*.engine.max_num_seqs"),
        ("servers.0.engine.max_num_seqs", "servers.*.engine.max_num_seqs"),
        ("servers.engine.max_num_seqs", "servers.*.engine.max_num_seqs"),
        ("max_num_seqs", "servers.*.engine.max_num_seqs"),
        ("row.breaker", "facility.*.breaker"),
        ("facility.row.breaker.curve", "facility.*.breaker.curve"),
        ("limits.warning_after", "limits.warning_after"),
        (" workload.chat.arrivals.spikes.0.at ", "workload.*.arrivals.spikes.*.at"),
    ],
)
def test_a_key_is_found(typed: str, path: str) -> None:
    assert [found.path for found in find(typed)] == [path]


def test_one_path_in_several_kinds() -> None:
    (found, _) = find("rate")
    assert found.path == "workload.*.arrivals.rate"
    assert found.kinds == ("kind: poisson, gamma, weibull", "kind: clients")
    (found,) = find("workload.arrivals.spikes")
    assert found.kinds == ("",)


def test_what_is_not_there() -> None:
    assert find("max_num_seq") == []
    assert near("max_num_seq") == ["servers.*.engine.max_num_seqs"]
    assert near("limits.warning_afetr")[0] == "limits.warning_after"
    assert find("") == find("*.3") == near("") == []
    assert near("zzzzzz") == []


def test_what_lies_below() -> None:
    assert [found.path for found in below("facility.*.ramp")] == [
        "facility.*.ramp.change",
        "facility.*.ramp.window",
    ]
    assert "facility.*.name" in [found.path for found in below("facility")]
    assert [found.path for found in top()][:3] == ["name", "description", "seed"]


# --- the JSON Schema -------------------------------------------------------------------------


def test_the_published_schema_is_in_step() -> None:
    """Out of step? `dcsim schema -o docs/scenario.schema.json`."""
    published = (PROJECT / "docs/scenario.schema.json").read_text(encoding="utf-8")
    assert json.loads(published) == json.loads(schema_text())


@pytest.mark.parametrize(
    "path", sorted((PROJECT / "scenarios").glob("*.yaml")), ids=lambda p: p.name
)
def test_shipped_scenarios_fit_the_schema(path: Path) -> None:
    assert complaints(yaml.safe_load(path.read_text(encoding="utf-8")), json_schema()) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"duration": 600}, "duration"),
        ({"duration": "-5 s"}, "duration"),
        ({"durations": "5 s"}, "durations"),
        ({"seed": -1}, "seed"),
        ({"limits": {"warning_fraction": 2}}, "limits.warning_fraction"),
        ({"routing": {"policy": "rand"}}, "routing.policy"),
        ({"workload": []}, "workload"),
    ],
)
def test_the_schema_sees_what_is_wrong(change: dict[str, Any], where: str) -> None:
    good = yaml.safe_load(GOOD)
    assert complaints(good, json_schema()) == []
    assert where in complaints(good | change, json_schema())[0]


def test_examples_are_values_that_their_keys_take() -> None:
    """Each scalar example, put in its place of the schema, is not complained of."""
    schema = json_schema()
    parts = schema["$defs"] | {"Scenario": schema}
    checked = 0
    for key in keys():
        part = parts.get(key.model, {}).get("properties", {}).get(key.name)
        if part is None or not key.example or "..." in key.example:
            continue
        value = yaml.safe_load(key.example)
        assert complaints(value, part | {"$defs": schema["$defs"]}) == [], key
        checked += 1
    assert checked > 200
    assert loads(GOOD).name == "sample"


# --- the page --------------------------------------------------------------------------------


def test_the_tables_of_the_page_are_in_step() -> None:
    """Out of step? `make reference`."""
    page = (PROJECT / "docs/scenario-format.md").read_text(encoding="utf-8")
    assert page.count("<!-- keys: ") > 30
    assert filled(page) == page


def test_a_table_is_made_anew_and_no_more() -> None:
    page = "before\n\n<!-- keys: RampLimit -->\n| old | table |\n| x | y |\n\nafter | this |\n"
    made = filled(page)
    assert made.startswith(
        "before\n\n<!-- keys: RampLimit -->\n| key | what | default | meaning |\n"
    )
    assert "old" not in made
    assert "| `window` | time | required | Within this time |\n\nafter | this |\n" in made
    assert filled(made) == made
    with pytest.raises(KeyError):
        filled("<!-- keys: Nothing -->\n")


def specs(spec: type[Spec] = Scenario) -> set[type[Spec]]:
    found = {spec}
    for field in spec.model_fields.values():
        for member in models_in(field.annotation):
            found |= specs(member)
    return found


def test_what_the_reference_calls_a_default_may_be_written() -> None:
    """`never`, `none` and `unknown` for quantities and numbers that may be left out."""
    checked = set()
    for spec in specs():
        for name, field in spec.model_fields.items():
            key = next(k for k in keys_of(spec) if k.name == (field.alias or name))
            word = key.default.split(",")[0].split(" ")[0]
            if (
                field.default is not None
                or word not in UNSAID
                or not may_be_unsaid(field.annotation)
            ):
                continue
            try:
                spec.model_validate({key.name: word})
            except ValidationError as error:
                complained = {part["loc"][0] for part in error.errors() if part["loc"]}
                assert key.name not in complained, (key.path, error)
            checked.add((spec.__name__, key.name, word))
    assert ("Fault", "repair_after", "never") in checked
    assert ("FacilityNode", "rating", "unknown") in checked
    assert len(checked) > 10


def test_a_name_is_not_taken_for_nothing() -> None:
    made = ServerGroup.model_validate(
        {"name": "none", "server": "never", "model": "unknown", "tensor_parallel": 1}
    )
    assert (made.name, made.server, made.model) == ("none", "never", "unknown")
    with pytest.raises(ValidationError):
        Fault.model_validate({"at": "never", "fail": "ups-a"})
