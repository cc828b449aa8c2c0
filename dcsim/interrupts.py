"""An interrupt that cannot get lost: Ctrl-C leaves a mark, and long work looks for it.

Python raises KeyboardInterrupt in whatever runs when the signal comes. Where that is the callback
of a weak reference, a finaliser or a C library's callback, the exception is dropped and the
program goes on. So `interrupt`, which the commands install as the handler, also sets a mark, and
loops that run for long call `raise_if_interrupted` now and then. In a program that has not
installed the handler no mark is ever set.
"""

from __future__ import annotations

from types import FrameType
from typing import NoReturn

_received: list[int] = []
"""Numbers of the signals that have come."""


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Handle a signal: set the mark and raise KeyboardInterrupt."""
    _received.append(number)
    raise KeyboardInterrupt


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt where an earlier one may have been dropped."""
    if _received:
        raise KeyboardInterrupt
