"""One request's answer: the bytes as they came with their instants, and what they said.

While streams run, only bytes and instants are kept; they are taken apart afterwards, in another
thread, so that one answer's text does not delay another's clock.
"""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.lab.measure.plan import Ask


@dataclass(slots=True)
class RawAnswer:
    """As it came. Instants are of the monotonic clock."""

    ask: Ask
    planned_s: float
    """When it should have been sent; where its stream's turn decides, when it was."""
    sent_s: float
    at_s: array[float] = field(default_factory=lambda: array("d"))
    data: list[bytes] = field(default_factory=list)
    """Pieces and their instants, apart: nothing in them that the garbage collector would visit."""
    end_s: float = 0.0
    http: int = 0
    """0: there was no answer."""
    trouble: str = ""
    """Why it ended before its time; empty where it did not."""

    @property
    def pieces(self) -> list[tuple[float, bytes]]:
        return list(zip(self.at_s, self.data, strict=False))


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer said."""

    ask: Ask
    planned_s: float
    sent_s: float
    end_s: float
    http: int
    trouble: str
    """Empty: answered in full."""
    prompt_tokens: int
    output_tokens: int
    """By the engine's own count where it gave one, else planned and as many as pieces of text."""
    counted: bool
    """Whether the engine gave the counts."""
    text_s: FloatArray
    """Instants at which text came, shape (pieces of text,)."""

    @property
    def ok(self) -> bool:
        return not self.trouble

    @property
    def first_s(self) -> float:
        """When the first token was there."""
        return float(self.text_s[0]) if len(self.text_s) else self.end_s


def understood(raw: RawAnswer) -> Answer:
    """Takes an answer apart. Never raises: what cannot be understood is its trouble."""
    text_s: list[float] = []
    usage: dict[str, Any] = {}
    ended = False
    trouble = raw.trouble
    for at_s, event in events(raw.pieces) if raw.http == 200 else ():
        if event == b"[DONE]":
            ended = True
            continue
        try:
            said = json.loads(event)
            if "error" in said:
                trouble = trouble or f"the engine: {_message(said['error'])}"
                continue
            given = said.get("usage")
            usage = given if isinstance(given, dict) else usage
            for choice in said.get("choices") or ():
                if _text(choice):
                    text_s.append(at_s)
                ended = ended or choice.get("finish_reason") is not None
        except (ValueError, TypeError, AttributeError, KeyError):
            trouble = trouble or f"not the protocol: {event[:80]!r}"
    if raw.http != 200 and not trouble:
        body = b"".join(raw.data)
        trouble = f"HTTP {raw.http}: {refusal(body)}" if raw.http else "no answer"
    if not trouble and not ended:
        trouble = "the stream ended before the answer did"
    prompt, output = usage.get("prompt_tokens"), usage.get("completion_tokens")
    counted = isinstance(prompt, int) and isinstance(output, int)
    if not trouble and not (output if counted else text_s):
        trouble = "an answer without a token"
    return Answer(
        ask=raw.ask,
        planned_s=raw.planned_s,
        sent_s=raw.sent_s,
        end_s=raw.end_s,
        http=raw.http,
        trouble=trouble,
        prompt_tokens=int(prompt or 0) if counted else raw.ask.prompt_tokens,
        output_tokens=int(output or 0) if counted else len(text_s),
        counted=counted,
        text_s=np.array(text_s),
    )


def events(pieces: list[tuple[float, bytes]]) -> list[tuple[float, bytes]]:
    """Payloads of a stream of server-sent events, each with the instant at which its line was
    complete (WHATWG HTML, section 9.2; these engines put each event on one line)."""
    found = []
    rest = b""
    for at_s, data in pieces:
        *lines, rest = (rest + data).split(b"\n")
        found += [(at_s, line[5:].strip()) for line in lines if line.startswith(b"data:")]
    if rest.startswith(b"data:"):
        found.append((pieces[-1][0], rest[5:].strip()))
    return found


def _text(choice: dict[str, Any]) -> str:
    """The text of a completion's or a chat's choice, its reasoning included."""
    if "text" in choice:
        return str(choice["text"])
    delta = choice.get("delta") or {}
    return "".join(
        str(delta[key]) for key in ("content", "reasoning_content", "reasoning") if delta.get(key)
    )


def _message(error: Any) -> str:
    found = error.get("message") if isinstance(error, dict) else error
    return " ".join(str(found).split())[:200]


def refusal(body: bytes) -> str:
    """What a refusal says, in whichever of the usual forms."""
    try:
        said = json.loads(body)
        for key in ("error", "message", "detail"):
            if isinstance(said, dict) and said.get(key):
                return _message(said[key])
    except ValueError:
        pass
    return " ".join(body.decode(errors="replace").split())[:200] or "no reason given"
