"""True and false are no numbers, whatever key has them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic import ValidationError

import dcsim
from dcsim.errors import ScenarioError
from dcsim.hardware.curves import Curve
from dcsim.scenario.load import loads
from dcsim.spec.base import Spec
from tests.studies.small import TEXT


def specs() -> list[type[Spec]]:
    """All models of scenario, catalogue, campaign and fitted tables."""
    root = Path(dcsim.__file__).parent
    for file in sorted(root.rglob("*.py")):
        if "(Spec)" in file.read_text(encoding="utf-8"):
            parts = file.relative_to(root.parent).with_suffix("").parts
            importlib.import_module(".".join(parts).removesuffix(".__init__"))

    def below(spec: type[Spec]) -> Iterator[type[Spec]]:
        for child in spec.__subclasses__():
            yield child
            yield from below(child)

    return sorted(set(below(Spec)), key=lambda spec: (spec.__module__, spec.__name__))


def is_number(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return is_number(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        members = get_args(annotation)
        reads_words = {bool, str, Path} & set(members)
        return not reads_words and any(map(is_number, members))
    return annotation in (int, float)


def test_no_number_of_any_model_may_be_true_or_false() -> None:
    numbers = [
        (spec, field.alias or name)
        for spec in specs()
        for name, field in spec.model_fields.items()
        if is_number(field.annotation)
    ]
    assert len(numbers) > 300
    for spec, key in numbers:
        for value in (True, False):
            with pytest.raises(ValidationError) as raised:
                spec.model_validate({key: value})
            places = [error["loc"][:1] for error in raised.value.errors()]
            assert (key,) in places, f"{spec.__name__}.{key}"


@pytest.mark.parametrize(
    ("change", "line", "told"),
    [
        ("seed: yes", 3, "seed: expected a whole number, not 'true'"),
        ("duration: on", 4, "duration: expected a quantity with its unit, such as '250 ms'"),
    ],
)
def test_a_file_is_told_where(change: str, line: int, told: str) -> None:
    key = change.partition(":")[0]
    text = "\n".join(change if row.startswith(key + ":") else row for row in TEXT.split("\n"))
    with pytest.raises(ScenarioError) as raised:
        loads(text)
    (problem,) = raised.value.problems
    assert (problem.line, f"{problem.path}: {problem.message}"[: len(told)]) == (line, told)


def test_lists_of_numbers_name_the_item() -> None:
    with pytest.raises(ValidationError) as raised:
        Curve.model_validate({"points": [[1.05, 60.0], [2.0, True]]})
    told = {error["loc"]: error["type"] for error in raised.value.errors()}
    assert told["points", 1, 1] == "float_parsing"


def test_options_are_told_the_same() -> None:
    with pytest.raises(ScenarioError, match="--set: seed: expected a whole number, not 'true'"):
        loads(TEXT, ["seed=true"])


def test_what_is_true_or_false_stays_so() -> None:
    scenario = loads(TEXT, ["servers.a100.engine.enable_prefix_caching=no"])
    assert scenario.servers[0].engine.enable_prefix_caching is False
