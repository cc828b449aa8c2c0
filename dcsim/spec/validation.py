"""The scenario models applied to a file: pydantic's errors in a planner's words, with a place."""

from __future__ import annotations

from copy import deepcopy
from functools import reduce
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from dcsim.spec.document import Document, Steps
from dcsim.spec.nearest import nearest
from dcsim.spec.registered import bare, is_list, models_in
from dcsim.spec.units import FROM_FILE, unit_of
from dcsim.spec.unread import leave_unread

Root = TypeVar("Root", bound=BaseModel)

OUR_OWN = ("quantity", "refused")
"""Types of the errors that the models raise themselves, worded for the user already."""

PLAIN = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "path_type": "a path",
    "model_type": "a block of `key: value` lines",
    "model_attributes_type": "a block of `key: value` lines",
    "dict_type": "a block of `key: value` lines",
    "tuple_type": "a list",
    "list_type": "a list",
}
"""What was expected, by pydantic's type of error."""


def validate_as(
    document: Document, root: type[Root], context: dict[str, bool] | None = FROM_FILE
) -> Root | None:
    """What a document holds, by its model; None, and problems in the document, where it does not
    fit. Without a context, numbers are quantities in SI units."""
    try:
        return root.model_validate(document.data, context=context)
    except ValidationError as errors:
        tell(document, errors, root)
    return None


def validate_in_part(document: Document, root: type[Root], context: dict[str, Any]) -> Root | None:
    """As `validate_as`; but where only some values do not fit, what the rest of the document says,
    with `UNREAD` in their place. None where a value is missing that the form of the whole hangs on,
    such as a name, or the kind of a block."""
    try:
        return root.model_validate(document.data, context=context)
    except ValidationError as errors:
        tell(document, errors, root)
        locations = {_whole(error["loc"]) for error in errors.errors()}
    data = deepcopy(document.data)
    try:
        unread = [
            path
            for location in locations
            # A list whose items do not fit is also too short for pydantic.
            if not any(other[: len(location)] == location != other for other in locations)
            and (path := _stand_in(data, *_locate(location, root, data)))
        ]
        part = root.model_validate(data, context=context)
    except (LookupError, TypeError, ValidationError):
        return None
    for path in unread:
        leave_unread(part, path)
    return part


def _whole(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The list in place of an item that does not fit."""
    return _whole(location[:-1]) if location and isinstance(location[-1], int) else location


def _stand_in(data: Any, path: Steps, spec: type[BaseModel] | None) -> Steps:
    """Put something that can be read in the place of what cannot. The path of the value that it
    stands for; empty for a key that is not known, which is dropped. Raises LookupError or TypeError
    where nothing can stand there."""
    *above, key = path
    here = reduce(lambda part, step: part[step], above, data)
    field = _field(spec, key)
    if field is None:
        del here[key]
        return ()
    unit = unit_of(field)
    if unit is not None:
        here[key] = unit.example
    elif not field.is_required():
        here.pop(key, None)
    elif field.annotation is int:
        here[key] = 1
    elif field.annotation is Path:
        here[key] = "unread"
    else:
        raise LookupError(f"nothing can stand for {key}")
    return path


def tell(
    document: Document, errors: ValidationError, root: type[BaseModel], at: Steps = ()
) -> None:
    """Add what pydantic found wrong with a `root` that stands at a path of the document."""
    for error in errors.errors(include_url=False):
        _add(document, error, root, at)


def _add(document: Document, error: ErrorDetails, root: type[BaseModel], at: Steps) -> None:
    inner, spec = _locate(error["loc"], root, reduce(_inside, at, document.data))
    path = (*at, *inner)
    kind, context, given = error["type"], error.get("ctx", {}), error["input"]
    if kind == "missing":
        document.add(path, "required key is missing", _expectation(_field(spec, path[-1])))
    elif kind == "extra_forbidden":
        known = [name for name, _ in _fields(spec)] if spec else []
        near = nearest(str(path[-1]), known)
        hint = f"did you mean '{near}'?" if near else "there is " + ", ".join(known)
        document.add(path, "unknown key", hint)
    elif kind == "union_tag_not_found":
        key = str(context["discriminator"]).strip("'")
        document.add((*path, key), "required key is missing", _expectation(_field(spec, path[-1])))
    elif kind == "union_tag_invalid":
        key = str(context["discriminator"]).strip("'")
        _add_choice(document, (*path, key), context["tag"], str(context["expected_tags"]))
    elif kind == "literal_error":
        _add_choice(document, path, given, str(context["expected"]).replace(" or ", ", "))
    elif kind == "string_pattern_mismatch":
        message = f"{_shown(given)} is not a name: letters, digits, '.', '_' and '-'"
        document.add(path, message, "start it with a letter or digit")
    elif kind == "too_short":
        least = int(context["min_length"])
        if len(given) < least:  # items with problems of their own do not count for pydantic
            items = "one item" if least == 1 else f"{least} items, not {len(given)}"
            document.add(path, f"expected at least {items}")
    elif kind in PLAIN:
        document.add(path, f"expected {PLAIN[kind]}, not {_shown(given)}")
    elif kind == "value_error":  # of a validator, worded for the user already
        document.add(path, error["msg"].removeprefix("Value error, "))
    elif kind in OUR_OWN:
        shown = "" if kind != "quantity" or isinstance(given, str) else f", not {_shown(given)}"
        document.add(path, error["msg"] + shown, context.get("hint", ""))
    else:
        message = error["msg"].replace("Input should be", "must be")
        document.add(path, f"{message}, not {_shown(given)}")


def _add_choice(document: Document, path: Steps, given: Any, quoted: str) -> None:
    """A value that is not among `quoted`, pydantic's "'a', 'b'"."""
    choices = [choice.strip(" '") for choice in quoted.split(",")]
    near = nearest(str(given), choices)
    document.add(
        path,
        f"expected {_one_of(choices)}, not {_shown(given)}",
        f"did you mean '{near}'?" if near else "",
    )


def _one_of(choices: list[str]) -> str:
    return ", ".join(choices[:-1]) + " or " + choices[-1] if len(choices) > 1 else choices[0]


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a block of keys"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return f"'{str(value).lower()}'"
    return f"'{value}'"


# --- the way through the models --------------------------------------------------------------


def _locate(
    location: tuple[int | str, ...], root: type[BaseModel], data: Any
) -> tuple[Steps, type[BaseModel] | None]:
    """The path in the file of a pydantic location, which also names the chosen kind of a built-in
    union; and the model that the last step is a key of. `data` are what the location is in."""
    path: Steps = ()
    here: Any = root
    parent: type[BaseModel] | None = None
    for step in location:
        members = [] if is_list(here) else models_in(here)
        chosen = [member for member in members if step in _tags(member)]
        if len(members) > 1 and chosen:
            here = chosen[0]
            continue
        values = list(data.values()) if isinstance(data, dict) else []
        members.sort(key=lambda member: not any(tag in values for tag in _tags(member)))
        data = _inside(data, step)
        path = (*path, step)
        if isinstance(step, int):
            parent = None
            here = next(iter(get_args(bare(here))), None)
        else:
            parent = members[0] if members else None
            field = _field(parent, step)
            here = None if field is None else field.rebuild_annotation()
    return path, parent


def _inside(data: Any, step: int | str) -> Any:
    """A part of plain data; None where there is none."""
    try:
        return data[step]
    except (LookupError, TypeError):
        return None


def _tags(spec: type[BaseModel]) -> tuple[Any, ...]:
    """What names a model among the members of a union: the values of its first literal."""
    for field in spec.model_fields.values():
        if get_origin(field.annotation) is Literal:
            return get_args(field.annotation)
    return ()


def _fields(spec: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """Keys of the file and what they hold."""
    return [(field.alias or name, field) for name, field in spec.model_fields.items()]


def _field(spec: type[BaseModel] | None, key: int | str) -> FieldInfo | None:
    return None if spec is None else dict(_fields(spec)).get(str(key))


def _expectation(field: FieldInfo | None) -> str:
    """What a missing key would hold."""
    if field is None:
        return ""
    unit = unit_of(field)
    if unit is not None:
        return f"such as '{unit.example}'"
    members = models_in(field.rebuild_annotation())
    tags = [str(tag) for member in members for tag in _tags(member)]
    if len(members) > 1 and not is_list(field.annotation):
        return "expected kind " + _one_of(tags)
    kind = bare(field.annotation)
    if get_origin(kind) is Literal:
        return "expected " + _one_of([str(choice) for choice in get_args(kind)])
    names = {str: "expected a name", int: "expected a whole number", float: "expected a number"}
    return names.get(kind, "expected a list" if get_origin(kind) is tuple else "")
