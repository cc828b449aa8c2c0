"""The fields of a study as options of a command: names, help texts, and what may be typed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from dcsim.scenario.describe import QUANTITIES, keys_of, quantity
from dcsim.spec.document import yaml_value
from dcsim.spec.registered import bare, is_list
from dcsim.spec.units import Seconds, unit_of

MOST_VALUES = 10_000
"""Of a range such as 1:2:0.1."""


@dataclass(frozen=True, slots=True)
class Typed:
    """Stands in `Annotated` and says how a field is typed, where its name and type do not."""

    flag: str = ""
    """Name of the option; by default the field's without its unit: `--window` of `window_s`."""
    metavar: str = ""
    """What stands for the value in help, such as PATH=VALUE."""
    once: bool = False
    """A list that is typed as one text, such as 1,2,9; other lists are options to be repeated."""


@dataclass(frozen=True, slots=True)
class StudyOption:
    """A field of a study as an option of its command."""

    field: str
    flag: str
    metavar: str
    text: str
    """What it means, with its choices."""
    default: str | None
    """As it would be typed; None: there is none."""
    instead: str
    """What holds where it is left out and has no default, in words; may be empty."""
    required: bool
    repeated: bool
    switch: bool
    """Typed without a value; where the default is true, as `--no-NAME`."""


def flag_of(study: type[BaseModel], field: str) -> str:
    """The option of a field: `--window` of `window_s`."""
    info = study.model_fields[field]
    name = _typed(info).flag or info.alias or re.sub(r"_(s|w)$", "", field)
    return "--" + name.replace("_", "-")


def options_of(study: type[BaseModel]) -> list[StudyOption]:
    """The options of a study, in the order of its fields."""
    keys = keys_of(study)
    return [
        _option(study, field, info, key)
        for (field, info), key in zip(study.model_fields.items(), keys, strict=True)
    ]


def _option(study: type[BaseModel], field: str, info: FieldInfo, key: Any) -> StudyOption:
    typed = _typed(info)
    kind = bare(info.annotation)
    no_default = info.is_required() or info.default is None
    unit = unit_of(info)
    repeated = not typed.once and (is_list(info.annotation) or get_origin(kind) is dict)
    if typed.metavar:
        metavar = typed.metavar
    elif key.choices:
        metavar = "|".join(key.choices)
    elif unit is not None:
        metavar = QUANTITIES[unit.name].upper().replace(" ", "-")
    else:
        metavar = {int: "NUMBER", float: "NUMBER", Path: "FILE"}.get(kind, "TEXT")
    return StudyOption(
        field=field,
        flag=flag_of(study, field),
        metavar=metavar,
        text=key.meaning.removesuffix(".") + (". May be repeated." if repeated else "."),
        default=None if no_default or repeated else _default(info),
        instead=key.default if no_default and key.default not in ("none", "required") else "",
        required=info.is_required(),
        repeated=repeated,
        switch=kind is bool,
    )


def _default(info: FieldInfo) -> str:
    unit = unit_of(info)

    def written(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if not isinstance(value, float):
            return str(value)
        return f"{value:g}" if unit is None else quantity(unit, value)

    several = isinstance(info.default, tuple)
    return ", ".join(map(written, info.default)) if several else written(info.default)


def _typed(info: FieldInfo) -> Typed:
    """All that stands in the annotations of a field, the outermost first."""
    extras = [*info.metadata, *_extras(info.annotation)]
    hints = [extra for extra in extras if isinstance(extra, Typed)][::-1]
    return Typed(
        next((hint.flag for hint in hints if hint.flag), ""),
        next((hint.metavar for hint in hints if hint.metavar), ""),
        any(hint.once for hint in hints),
    )


def _extras(annotation: Any) -> Iterator[Any]:
    for part in get_args(annotation):
        if get_origin(part) is Annotated:
            yield from get_args(part)[1:]


# --- types of fields -------------------------------------------------------------------------


def from_text(parse: Callable[[str], Any]) -> BeforeValidator:
    """Texts are parsed; all else is left to the field's type."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def _from_texts(parse: Callable[[str], tuple[str, Any]], twice: str) -> BeforeValidator:
    """Several texts `NAME=...` make a mapping; a mapping is left to the field's type. `twice`: the
    message where one name is given twice."""

    def read(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        pairs = [parse(text) for text in value]
        if len(dict(pairs)) < len(pairs):
            raise ValueError(twice)
        return dict(pairs)

    return BeforeValidator(read)


def must(test: Callable[[Any], bool], message: str) -> AfterValidator:
    """Stands in `Annotated` and refuses values that fail a test, with a message that says what is
    expected."""

    def check(value: Any) -> Any:
        if not test(value):
            raise ValueError(message)
        return value

    return AfterValidator(check)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _seeds(value: Any) -> Any:
    if isinstance(value, str):
        try:
            numbers = tuple(int(part) for part in value.split(","))
        except ValueError:
            raise ValueError(
                f"'{value}' is neither a number of seeds nor a list such as 1,2,9"
            ) from None
        value = numbers if "," in value else numbers[0]
    elif isinstance(value, Iterable):
        value = tuple(value)
    if isinstance(value, tuple) and any(seed < 0 for seed in value):
        raise ValueError("a seed is 0 or more")
    return value


def parse_numbers(text: str) -> list[float]:
    """`1,1.5,2`, or `1:2:0.1`: from, to and step, both ends included. Raises ValueError."""
    try:
        if ":" not in text:
            return [float(part) for part in text.split(",")]
        first, last, step = (float(part) for part in text.split(":"))
        if not (step > 0 and last >= first and (last - first) / step < MOST_VALUES):
            raise ValueError
        count = int((last - first) / step + 1e-9) + 1
        return [round(first + i * step, 12) for i in range(count)]
    except ValueError:
        raise ValueError(
            f"'{text}' is neither a list such as 1,1.5,2 nor a range 1:2:0.1"
        ) from None


def _values(text: str) -> tuple[str, list[Any]]:
    path, equals, values = text.partition("=")
    path = path.strip()
    if not equals or not path:
        raise ValueError(f"'{text}' has no values (write PATH=[VALUE, VALUE] or PATH=1:5:1)")
    try:
        parsed = yaml_value(values)
    except (yaml.YAMLError, ValueError):
        parsed = None
    if isinstance(parsed, list):
        return path, parsed
    if isinstance(parsed, str) and parsed.count(":") == 2:
        return path, [int(n) if n == int(n) else n for n in parse_numbers(parsed)]
    raise ValueError(f"'{values}' is no list (write [{values}, ...] or 1:5:1)")


def _share(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    try:
        return name.strip(), float(share)
    except ValueError:
        raise ValueError(f"'{text}' is not GROUP=SHARE, such as a100=0.5") from None


def _growth(text: str) -> float:
    bare_text = text.strip()
    try:
        if bare_text.endswith("%"):
            return 1.0 + float(bare_text[:-1]) / 100.0
        return float(bare_text)
    except ValueError:
        raise ValueError(f"'{text}' is neither growth such as '5 %' nor a factor 1.05") from None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text}' is no day such as 2026-12-01") from None


Texts = Annotated[tuple[str, ...], from_text(_split), Typed(metavar="NAME,NAME", once=True)]
"""Names, typed `a,b`."""
Seeds = Annotated[
    int | tuple[int, ...], BeforeValidator(_seeds), Typed(metavar="NUMBER|LIST", once=True)
]
"""So many, counted on from the scenario's own, or these: typed `5`, or `1,2,9`."""
Numbers = Annotated[
    tuple[float, ...], from_text(parse_numbers), Typed(metavar="LIST|RANGE", once=True)
]
"""Typed `1,1.5,2`, or as a range `1:2:0.1`."""
Times = Annotated[tuple[Seconds, ...], from_text(_split), Typed(metavar="TIME,TIME", once=True)]
"""Typed `1 s, 1 min`."""
ValueLists = Annotated[
    dict[str, list[Any]],
    _from_texts(_values, "a path is given twice"),
    Typed(metavar="PATH=VALUES"),
]
"""Lists of values by dotted path, typed `PATH=[VALUE, VALUE]` or `PATH=1:5:1`."""
Shares = Annotated[
    dict[str, float], _from_texts(_share, "a group is given twice"), Typed(metavar="GROUP=SHARE")
]
GrowthFactor = Annotated[
    float,
    from_text(_growth),
    must(lambda factor: factor > 1.0, "give growth above 0: '5 %', or as a factor above 1: 1.05"),
    Typed(metavar="PERCENT|FACTOR"),
]
"""Growth over a span of time as a factor, typed `5 %` or `1.05`."""
Day = Annotated[date, from_text(_day), Typed(metavar="YYYY-MM-DD")]
SloLoss = Annotated[
    float, must(lambda share: 0.0 <= share <= 1.0, "a share of requests, such as 0.01")
]
