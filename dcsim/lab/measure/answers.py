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
    error: str = ""
    """Why it ended before its time; empty where it did not."""

    @property
    def pieces(self) -> list[tuple[float, bytes]]:
        return list(zip(self.at_s, self.data, strict=False))


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """What an answer said."""

    ask: Ask
    planned_s: float
    sent_s: float
    end_s: float
    http: int
    error: str
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
        return not self.error

    @property
    def first_s(self) -> float:
        """When the first token was there."""
        return float(self.text_s[0]) if len(self.text_s) else self.end_s


def parse_answer(raw: RawAnswer) -> ParsedAnswer:
    """Takes an answer apart. Never raises: what cannot be understood is its error."""
    text_s: list[float] = []
    usage: dict[str, Any] = {}
    ended = False
    error = raw.error
    for at_s, event in events(raw.pieces) if raw.http == 200 else ():
        if event == b"[DONE]":
            ended = True
            continue
        try:
            event_data = json.loads(event)
            if "error" in event_data:
                error = error or f"the engine: {_message(event_data['error'])}"
                continue
            reported = event_data.get("usage")
            usage = reported if isinstance(reported, dict) else usage
            for choice in event_data.get("choices") or ():
                if _text(choice):
                    text_s.append(at_s)
                ended = ended or choice.get("finish_reason") is not None
        except (ValueError, TypeError, AttributeError, KeyError):
            error = error or f"not the protocol: {event[:80]!r}"
    if raw.http != 200 and not error:
        body = b"".join(raw.data)
        error = f"HTTP {raw.http}: {refusal(body)}" if raw.http else "no answer"
    if not error and not ended:
        error = "the stream ended before the answer did"
    prompt, output = usage.get("prompt_tokens"), usage.get("completion_tokens")
    counted = isinstance(prompt, int) and isinstance(output, int)
    if not error and not (output if counted else text_s):
        error = "an answer without a token"
    return ParsedAnswer(
        ask=raw.ask,
        planned_s=raw.planned_s,
        sent_s=raw.sent_s,
        end_s=raw.end_s,
        http=raw.http,
        error=error,
        prompt_tokens=int(prompt or 0) if counted else raw.ask.prompt_tokens,
        output_tokens=int(output or 0) if counted else len(text_s),
        counted=counted,
        text_s=np.array(text_s),
    )


def events(pieces: list[tuple[float, bytes]]) -> list[tuple[float, bytes]]:
    """Payloads of a stream of server-sent events, each with the instant at which its line was
    complete (WHATWG HTML, section 9.2; these engines put each event on one line)."""
    payloads = []
    tail = b""
    for at_s, data in pieces:
        *lines, tail = (tail + data).split(b"\n")
        payloads += [(at_s, line[5:].strip()) for line in lines if line.startswith(b"data:")]
    if tail.startswith(b"data:"):
        payloads.append((pieces[-1][0], tail[5:].strip()))
    return payloads


def _text(choice: dict[str, Any]) -> str:
    """The text of a completion's or a chat's choice, its reasoning included."""
    if "text" in choice:
        return str(choice["text"])
    delta = choice.get("delta") or {}
    return "".join(
        str(delta[key]) for key in ("content", "reasoning_content", "reasoning") if delta.get(key)
    )


def _message(error: Any) -> str:
    text = error.get("message") if isinstance(error, dict) else error
    return " ".join(str(text).split())[:200]


def refusal(body: bytes) -> str:
    """What a refusal says, in whichever of the usual forms."""
    try:
        document = json.loads(body)
        for key in ("error", "message", "detail"):
            if isinstance(document, dict) and document.get(key):
                return _message(document[key])
    except ValueError:
        pass
    return " ".join(body.decode(errors="replace").split())[:200] or "no reason given"
