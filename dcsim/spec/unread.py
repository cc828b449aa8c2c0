"""What stands in a model for a value of the file that could not be read.

One wrong unit must not hide all that is wrong elsewhere. Where a file's models refuse some values,
the rest is read with `UNREAD` in their place, and checked: any use of it, except `is None`, raises
`UnreadError`, which ends the check that came upon it and no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Never, TypeVar

from pydantic import BaseModel

from dcsim.errors import DcsimError
from dcsim.spec.document import Steps

Item = TypeVar("Item")


class UnreadError(DcsimError, ValueError):
    """A value of the file is needed that could not be read."""


class Unread:
    """A value that could not be read."""

    def _refuse(self, *_: Any) -> Never:
        raise UnreadError("the file's value could not be read")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _refuse
    __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = __getattr__ = _refuse
    __str__ = __format__ = __fspath__ = __int__ = __float__ = __index__ = _refuse
    __mod__ = __rmod__ = __round__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _refuse


UNREAD = Unread()


def readable(items: Iterable[Item]) -> Iterator[Item]:
    """The items up to the first for which an unread value is needed."""
    with suppress(UnreadError):
        yield from items


def leave_unread(spec: BaseModel, path: Steps) -> None:
    """Put `UNREAD` into a model at a path of the file."""
    here: Any = spec
    for step in path[:-1]:
        here = here[step] if isinstance(step, int) else getattr(here, _attribute(here, step))
    here.__dict__[_attribute(here, str(path[-1]))] = UNREAD  # models are frozen


def _attribute(spec: BaseModel, key: str) -> str:
    """The field that a key of the file fills."""
    for name, field in type(spec).model_fields.items():
        if key in (field.alias, name):
            return name
    return key
