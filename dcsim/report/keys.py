"""Keys pressed while something else goes on, without waiting for them."""

from __future__ import annotations

import os
import select
import sys
from typing import Any

ARROWS = {"\x1b[A": "up", "\x1b[B": "down", "\x1bOA": "up", "\x1bOB": "down"}


class Keys:
    """Reads single keys from the terminal, if standard input is one; a context manager that
    leaves the terminal as it was. Where there is no terminal, no key is ever pressed."""

    def __init__(self) -> None:
        self._before: Any = None
        self._file = -1

    def __enter__(self) -> Keys:
        try:
            import termios
            import tty

            self._file = sys.stdin.fileno()
            if os.isatty(self._file):
                self._before = termios.tcgetattr(self._file)
                tty.setcbreak(self._file)  # Ctrl-C still interrupts
        except (ImportError, OSError, ValueError):  # no such terminals here, or no stdin
            self._before = None
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            import termios

            termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)
            self._before = None

    def pressed(self) -> list[str]:
        """Keys since the last call: characters, `up` and `down`."""
        if self._before is None:
            return []
        text = ""
        while select.select([self._file], [], [], 0)[0]:
            part = os.read(self._file, 64).decode(errors="ignore")
            if not part:
                break
            text += part
        for code, name in ARROWS.items():
            text = text.replace(code, {"up": "\ue000", "down": "\ue001"}[name])
        return [{"\ue000": "up", "\ue001": "down"}.get(key, key) for key in text]
