"""What becomes of commands: when each limit begins, changes and ends, and how long it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from dcsim.control.policy import Command
from dcsim.records import EventKind

Tell = Callable[[EventKind, str, str], None]
"""Kind of event, node, message."""
USER = "user"
"""What events and the summary call the source of commands that no policy gave."""


class CommandAccount:
    """Keeps account of the commands obeyed, by source: the policies, and the user after them."""

    def __init__(self, labels: Sequence[str], tell: Tell) -> None:
        """`labels` name the policies; `tell` hears of limits that begin, change or end."""
        self._labels = [*labels, USER]
        self.user = len(labels)
        """Number of the source that is no policy."""
        self._tell = tell
        self._in_force: dict[tuple[int, str, str], tuple[str, str]] = {}
        """Limit and node of the last event, by source, kind and slot."""
        self.commands: Counter[str] = Counter()
        """Obeyed so far, by label."""
        self._limited_since: dict[str, float] = {}
        self._limited_s = dict.fromkeys(self._labels, 0.0)

    def enter(self, source: int, command: Command, now_s: float) -> None:
        """A command is obeyed. It is an event where a limit begins, changes or ends; not where
        its watts are only moved."""
        label = self._labels[source]
        self.commands[label] += 1
        key = (source, type(command).__name__, command.slot)
        text = command.text
        before, _ = self._in_force.get(key, ("", ""))
        if text == before:
            return
        if text:
            self._in_force[key] = (text, command.node)
            self._tell(command.event, command.node, f"{label}: {text}; {command.reason}")
        else:
            del self._in_force[key]
            self._tell("released", command.node, f"{label}: no longer {before}; {command.reason}")
        limited = any(owner == source for owner, _, _ in self._in_force)
        if limited:
            self._limited_since.setdefault(label, now_s)
        elif label in self._limited_since:
            self._limited_s[label] += now_s - self._limited_since.pop(label)

    def describe(self, now_s: float) -> list[dict[str, Any]]:
        """By source: commands obeyed, and how long any of its limits was in force."""
        return [
            {
                "policy": label,
                "commands": self.commands[label],
                "limited_s": self._limited_s[label]
                + max(now_s - self._limited_since.get(label, now_s), 0.0),
            }
            for label in self._labels
            if label != USER or self.commands[USER]
        ]
