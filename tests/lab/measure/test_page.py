"""docs/measure.md tells of every key, and its example is one that loads."""

from __future__ import annotations

import re
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from dcsim.lab.measure.campaign import Campaign, load_campaign
from dcsim.lab.measure.plan import make_plan
from dcsim.scenario.models import Tokens

PAGE = (Path(__file__).parents[3] / "docs" / "measure.md").read_text(encoding="utf-8")


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """All models that an annotation names, but those of a scenario's lengths."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Annotated, Union, UnionType, tuple, dict):
        return [model for arg in get_args(annotation) for model in models_in(arg)]
    return []


def keys(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[str]:
    """Keys of a model and of what it holds."""
    if model in seen:
        return set()
    seen.add(model)
    found = set()
    for name, field in model.model_fields.items():
        found.add(field.alias or name)
        for inner in models_in(field.annotation):
            found |= keys(inner, seen)
    return found


def test_every_key_is_on_the_page() -> None:
    wanted = keys(Campaign, set(models_in(Tokens)))
    assert {"burstiness", "kv_tokens", "password_env", "rest", "token_time"} <= wanted
    told = set(re.findall(r"[a-z0-9_]+", " ".join(re.findall(r"`([^`\n]+)`", PAGE))))
    assert wanted - told == set()


def test_the_example_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "campaign.yaml"
    path.write_text(example)
    parts = make_plan(load_campaign(path))
    named = set(re.findall(r"\b\d\d-[a-z][a-z0-9.-]*[a-z0-9]", PAGE))
    assert {"01-rest", "02-load-r0.125-b1"} < named <= {part.name for part in parts}
