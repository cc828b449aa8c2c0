"""Every key of a scenario file, described from the models themselves.

The models are the one truth. A key's meaning is the text under its field; a sentence of it that
begins "None: " says what holds where the key is left out. `dcsim explain`, the JSON Schema and
the tables of docs/scenario-format.md are all made from here.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from dcsim.scenario.models import Scenario
from dcsim.scenario.start import Start
from dcsim.spec.registered import bare, is_list, models_in
from dcsim.spec.units import Unit, unit_of

WITHOUT = re.compile(r"(?:^|(?<=[.;,] ))None(?:, [^:.]*)?: (.*?)(?:\.(?= [A-Z`(]|$)|$)")
"""The sentence that says what a key that is left out stands for."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the file, in one of the kinds of its block."""

    path: str
    """Dotted; `*` is any item of a list: `servers.*.engine.max_num_seqs`."""
    model: str
    """Name of the model whose key it is."""
    kinds: tuple[str, ...]
    """Choices that lead here, such as `kind: poisson`; outermost first."""
    type: str
    """What may be written, in words."""
    choices: tuple[str, ...]
    """Allowed values, where there is a fixed set."""
    default: str
    """As it would be written; "required" where there is none, "none" where nothing stands in."""
    meaning: str
    example: str
    """As it would be written."""
    source: str
    """Module and model, where it is defined."""
    table: str = ""
    """Of the catalogue, whose names may be written; empty: none."""

    @property
    def required(self) -> bool:
        return self.default == "required"

    @property
    def name(self) -> str:
        """The key itself, the last part of the path."""
        return self.path.rpartition(".")[2]


@lru_cache(maxsize=1)
def keys() -> tuple[Key, ...]:
    """All keys, in the order of the models."""
    return tuple(_walk(Scenario, "", ()))


def keys_of(spec: type[BaseModel]) -> tuple[Key, ...]:
    """The keys of one model alone, wherever it stands; their paths are bare names."""
    return tuple(_key(spec, name, field, "", ()) for name, field in spec.model_fields.items())


def about(spec: type[BaseModel]) -> str:
    """What a model stands for: its docstring on one line."""
    return " ".join((inspect.getdoc(spec) or "").split())


def _walk(spec: type[BaseModel], prefix: str, kinds: tuple[str, ...]) -> Iterator[Key]:
    for name, field in spec.model_fields.items():
        key = _key(spec, name, field, prefix, kinds)
        yield key
        below = key.path + ".*" if is_list(field.annotation) else key.path
        members = models_in(field.rebuild_annotation())
        for member in members:
            tag = tag_of(member) if len(members) > 1 else None
            chosen = (*kinds, f"{tag[0]}: {tag[1]}") if tag else kinds
            yield from _walk(member, below + ".", chosen)


def _key(
    spec: type[BaseModel], name: str, field: FieldInfo, prefix: str, kinds: tuple[str, ...]
) -> Key:
    home = next(base for base in spec.__mro__ if name in inspect.get_annotations(base))
    meaning, instead = _meaning(_texts(home).get(name, ""))
    if not meaning and models_in(field.rebuild_annotation()):
        meaning = " ".join(about(member) for member in models_in(field.rebuild_annotation())[:1])
    tag = tag_of(spec)
    if tag is not None and (field.alias or name) == tag[0]:
        meaning = about(spec) or meaning  # what is chosen, not that it is a choice
    elif not meaning and tag is not None:
        meaning = about(spec)
    if field.is_required():
        default = "required"
    elif instead and field.get_default(call_default_factory=True) is None:
        default = instead
    else:
        default = _written(field, field.get_default(call_default_factory=True))
    return Key(
        path=prefix + (field.alias or name),
        model=spec.__name__,
        kinds=kinds,
        type=_type(field),
        choices=_choices(field.annotation),
        default=default,
        meaning=meaning,
        example=_example(home.__name__, field.alias or name, field),
        source=f"{home.__module__}.{home.__name__}",
        table=TABLES.get(f"{home.__name__}.{field.alias or name}", ""),
    )


# --- what the text under a field says --------------------------------------------------------


@lru_cache(maxsize=256)
def _texts(spec: type) -> dict[str, str]:
    """The text under each field of a model's own, read from its source."""
    body: Sequence[ast.stmt] = _module(inspect.getsourcefile(spec) or "").body
    *outer, name = spec.__qualname__.split(".")
    for around in outer:
        body = next((n.body for n in body if _is_named(n, around)), ())
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return dict(_documented(node))
    return {}


def _is_named(node: ast.stmt, name: str) -> TypeGuard[ast.ClassDef | ast.FunctionDef]:
    return isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name


@lru_cache(maxsize=64)
def _module(file: str) -> ast.Module:
    return ast.parse(Path(file).read_text(encoding="utf-8"))


def _documented(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, text in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            yield field.target.id, " ".join(text.value.value.split())


def _meaning(text: str) -> tuple[str, str]:
    """The text without its "None: " sentence, and what that one says."""
    match = WITHOUT.search(text)
    if not match:
        return text, ""
    before, after = text[: match.start()].rstrip(" ;,"), text[match.end() :]
    stop = "." if before and not before.endswith(".") else ""
    return " ".join((before + stop + after).split()), match[1]


# --- what may be written ---------------------------------------------------------------------


def tag_of(spec: type[BaseModel]) -> tuple[str, str] | None:
    """(key, value) that names a model among others, such as ("kind", "poisson")."""
    for name, field in spec.model_fields.items():
        if get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1:
            return field.alias or name, str(get_args(field.annotation)[0])
    return None


def _choices(annotation: Any) -> tuple[str, ...]:
    inner = bare(annotation)
    options = get_args(inner) if get_origin(inner) in (Union, UnionType) else (inner,)
    values = [value for part in options if get_origin(part) is Literal for value in get_args(part)]
    if values:
        return tuple(str(value) for value in values)
    tags = [tag_of(member) for member in models_in(annotation)]
    return tuple(tag[1] for tag in tags if tag) if len(tags) > 1 else ()


QUANTITIES = {
    "second": "time",
    "watt": "power",
    "req/s": "rate",
    "watt_hour": "energy",
    "volt_ampere": "apparent power",
    "volt": "voltage",
    "byte": "size",
    "byte/s": "bandwidth",
}
"""What a unit measures."""
NAMES: dict[Any, str] = {
    int: "whole number",
    float: "number",
    bool: "true or false",
    str: "text",
    Path: "path",
    Start: "time of day, or date and time",
}


def _type(field: FieldInfo) -> str:  # noqa: PLR0911 - a kind of field each
    unit = unit_of(field)
    if unit is not None:
        return f"{QUANTITIES[unit.name]} with its unit" + _bounds(field.metadata)
    inner = bare(field.annotation)
    if is_list(inner):
        item = get_args(inner)[0]
        members = models_in(item)
        if members:
            return "list of blocks"
        if get_origin(bare(item)) is tuple:
            return "list of pairs of numbers"
        return "list of " + NAMES.get(bare(item), "names") + _bounds(_metadata(item))
    members = models_in(field.rebuild_annotation())
    if members:
        tag = tag_of(members[0]) if len(members) > 1 else None
        return f"block, by `{tag[0]}`" if tag else "block"
    if get_origin(inner) is Literal:
        return "one of its choices"
    if get_origin(inner) in (Union, UnionType) and str in map(bare, get_args(inner)):
        return "name, list of names, or names with shares"
    if get_origin(inner) in (Union, UnionType):
        return "one of its choices"
    metadata = [*field.metadata, *_metadata(field.annotation)]
    if any(getattr(extra, "pattern", None) for extra in metadata):
        return "name"
    return NAMES.get(inner, "value") + _bounds(metadata)


def _metadata(annotation: Any) -> list[Any]:
    """What stands beside a type in `Annotated`, pydantic's own bundles undone."""
    if get_origin(annotation) in (Union, UnionType):
        return [extra for part in get_args(annotation) for extra in _metadata(part)]
    if get_origin(annotation) is not Annotated:
        return []
    extras = get_args(annotation)[1:]
    bundles = [extra.metadata if isinstance(extra, FieldInfo) else [extra] for extra in extras]
    return [extra for bundle in bundles for extra in bundle]


def _bounds(metadata: list[Any]) -> str:
    low = high = ""
    for extra in metadata:
        if getattr(extra, "ge", None) is not None:
            low = f"{_plain(extra.ge)} or more"
        if getattr(extra, "gt", None) is not None:
            low = f"above {_plain(extra.gt)}"
        if getattr(extra, "le", None) is not None:
            high = f"up to {_plain(extra.le)}"
        if getattr(extra, "lt", None) is not None:
            high = f"below {_plain(extra.lt)}"
    return "".join(f", {bound}" for bound in (low, high) if bound)


def _plain(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _written(field: FieldInfo, value: Any) -> str:
    """A default as the file would have it."""
    unit = unit_of(field)
    if value is None or value is PydanticUndefined or value == ():
        return "none"
    if isinstance(value, BaseModel):
        return "see below"
    if unit is not None and isinstance(value, float):
        return quantity(unit, value)
    if isinstance(value, bool):
        return str(value).lower()
    if value == "":
        return "empty"
    return str(value)


TABLES = {
    "ServerGroup.server": "servers",
    "ServerGroup.model": "models",
    "Stream.model": "models",
    "Breaker.curve": "curves",
    "FacilityNode.losses": "losses",
}
"""Keys that take a name of the catalogue, by the model that defines them, and its table."""
EXAMPLES = {
    "Cooling.at": "utility",
    "Breaker.curve": "thermal-magnetic",
    "duration": "1 h",
    "until": "30 min",
    "window": "15 min",
    "interval": "15 s",
    "model": "llama-3-70b",
    "server": "dgx-h100",
    "group": "h100",
    "parent": "row",
    "feeds": "[ups-a, ups-b]",
    "node": "row-1",
    "fail": "ups-b",
    "restore": "ups-b",
    "losses": "ups-double-conversion",
    "pack": "gru-h100",
    "tenants": "[interactive, batch]",
    "folder": "clients",
    "at": "2 h",
    "mtbf": "5000 h",
    "mttr": "2 h",
    "hours": "[0.6, 0.5, ...]",
    "weekdays": "[1.1, 1.1, 1.1, 1.1, 1.0, 0.8, 0.8]",
    "weights": "[5, 3, 2]",
    "per_day": "1.002",
    "per_month": "1.15",
    "by_load": "[[0.2, 1.4], [1.0, 1.2]]",
    "by_temperature": "[[10, 0.6], [35, 1.5]]",
    "temperature_c": "24",
    "start_at": '"19:00"',
    "peak_at": '"14:00"',
    "continuous": "100 %",
}
"""Where a key's type alone would give a poor one."""

SMALLER = {"second": (("ms", 1e-3),), "byte/s": (("GB/s", 1e9),)}
"""Units that people read more easily than those which results files are written in."""


def quantity(unit: Unit, value: float) -> str:
    """A quantity to be read by people; `load` reads it back equal."""
    text = unit.format(value)
    for symbol, size in SMALLER.get(unit.name, ()):
        short = f"{value / size:g} {symbol}"
        if len(short) < len(text) or (0 < value < 1 and unit.name == "second"):
            text = short
    return text


def _example(spec: str, key: str, field: FieldInfo) -> str:  # noqa: PLR0911 - as `_type`
    """A value that could be written; a block's is left to its own keys."""
    unit = unit_of(field)
    if f"{spec}.{key}" in EXAMPLES:
        return EXAMPLES[f"{spec}.{key}"]
    if key in EXAMPLES and not models_in(field.rebuild_annotation()):
        timed = EXAMPLES[key].endswith((" h", " min", " s"))
        fits = (unit is not None and unit.name == "second") if timed else True
        fits = fits and (timed or unit is None or not EXAMPLES[key][0].isdigit())
        if fits and not _choices(field.annotation) and bare(field.annotation) is not int:
            return EXAMPLES[key]
    default = field.get_default(call_default_factory=True)
    if unit is not None:
        known = isinstance(default, float) and default > 0
        return quantity(unit, default) if known and isinstance(default, float) else unit.example
    choices = _choices(field.annotation)
    if models_in(field.rebuild_annotation()):
        return ""
    if choices:
        other = [choice for choice in choices if choice != str(default)]
        return (other or list(choices))[0]
    inner = bare(field.annotation)
    if isinstance(default, bool) or inner is bool:
        return str(not default).lower()
    if isinstance(default, int | float) and default is not None:
        return str(default)
    if is_list(inner):
        item = bare(get_args(inner)[0])
        if get_origin(item) is tuple:
            return "[[1.05, 3600], [2.0, 60]]"
        return "[1.0, 0.8]" if item is float else "[a, b]"
    metadata = [*field.metadata, *_metadata(field.annotation)]
    floor = [extra.ge for extra in metadata if getattr(extra, "ge", None) is not None]
    above = [extra.gt for extra in metadata if getattr(extra, "gt", None) is not None]
    if inner is int:
        return str(max([8, *(int(low) for low in floor)]))
    if inner is float:
        return str(floor[0] + 0.5 if floor else above[0] + 1 if above else 1.0)
    if inner is Path:
        return "file.csv"
    if inner is Start:
        return '"2026-12-01 19:00"'
    return "a-name"
