"""An OpenAI-compatible endpoint: what it serves, which options it takes, and how it is asked.

With aiohttp, because the gaps between tokens are what is measured: a piece of a stream costs it
21 us of processor time, and httpx 67 us (64 streams of 100 events a second, Python 3.11), by which
the latter falls behind.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np

from dcsim.errors import MeasureError
from dcsim.lab.measure.answers import RawAnswer, parse_answer
from dcsim.lab.measure.campaign import Campaign
from dcsim.lab.measure.clock import MeasuringClock
from dcsim.lab.measure.plan import Ask

# fmt: off
WORDS = (
    "the", "of", "and", "to", "in", "is", "that", "for", "it", "as", "was", "with", "be", "by",
    "on", "not", "he", "his", "but", "at", "are", "this", "have", "from", "or", "had", "an",
    "they", "which", "one", "you", "were", "all", "her", "she", "there", "would", "their",
    "we", "him", "been", "has", "when", "who", "will", "no", "more", "if", "out", "so", "up",
    "said", "what", "its", "about", "than", "into", "them", "can", "only", "other", "time",
    "new", "some", "could", "these", "two", "may", "first", "then", "do", "any", "like", "my",
    "now", "over", "such", "our", "man", "me", "even", "most", "made", "after", "also", "did",
    "many",
)
# fmt: on
"""Frequent English words, each one token with its space in the byte-pair vocabularies in use."""

OPTIONS: tuple[dict[str, Any], ...] = (
    {"stream_options": {"include_usage": True}, "ignore_eos": True, "min_tokens": None},
    {"stream_options": {"include_usage": True}, "ignore_eos": True},
    {"stream_options": {"include_usage": True}},
    {},
)
"""Tried in turn until the endpoint takes one. `min_tokens` gets the number of tokens; with
`ignore_eos` an answer has exactly as many as were asked for."""

KEEP_ALIVE_S = 3.0
"""Less than the 5 s after which uvicorn, under most engines, closes a connection at rest."""


@dataclass(frozen=True)
class Dialect:
    """What the probe found out."""

    options: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    """What the endpoint says of itself: version, longest context."""


class Asker:
    """Requests for one campaign, encoded before they are due."""

    def __init__(self, campaign: Campaign) -> None:
        """Raises MeasureError where the key's variable is not set."""
        self._model, self._client = campaign.model, campaign.client
        path = "/v1/chat/completions" if self._client.api == "chat" else "/v1/completions"
        self.url = campaign.endpoint + path
        self.root = campaign.endpoint
        self.headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        name = self._client.api_key_env
        if name is not None:
            if not os.environ.get(name):
                raise MeasureError(f"client.api_key_env: the variable {name} is not set")
            self.headers["Authorization"] = f"Bearer {os.environ[name]}"

    def session(self, clock: MeasuringClock) -> aiohttp.ClientSession:
        """For any number of streams; to be opened within a running loop."""
        return aiohttp.ClientSession(
            headers=self.headers,
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
            timeout=aiohttp.ClientTimeout(
                total=clock.real_s(self._client.timeout_s), sock_connect=10.0
            ),
            read_bufsize=2**20,
        )

    def body(self, ask: Ask, options: dict[str, Any], rng: np.random.Generator) -> bytes:
        """A request of so many tokens; its words are of `rng`, so that no two prompts begin
        alike and no cache of prefixes helps."""
        client, count = self._client, ask.prompt_tokens
        prompt: Any
        if client.prompts == "ids":
            prompt = rng.integers(client.lowest_id, client.highest_id, count).tolist()
        else:
            prompt = " ".join(WORDS[i] for i in rng.integers(0, len(WORDS), count).tolist())
        content: dict[str, Any] = {
            "model": self._model,
            "max_tokens": ask.output_tokens,
            "temperature": 0.0,
            "stream": True,
            **options,
        }
        if "min_tokens" in options:
            content["min_tokens"] = ask.output_tokens
        if client.api == "chat":
            content["messages"] = [{"role": "user", "content": prompt}]
        else:
            content["prompt"] = prompt
        return json.dumps(content).encode()


async def probe(asker: Asker, campaign: Campaign, clock: MeasuringClock) -> Dialect:
    """Find out whether the endpoint answers, serves the model and streams, and which options it
    takes. Raises MeasureError, saying what is wrong."""
    async with asker.session(clock) as session:
        facts = await _models(session, campaign)
        refused = ""
        for options in OPTIONS:
            ask = Ask(0, 8, 4)
            raw = RawAnswer(ask, 0.0, clock.monotonic())
            body = asker.body(ask, options, np.random.default_rng(campaign.seed))
            await stream(session, asker.url, body, raw, clock)
            answer = parse_answer(raw)
            if answer.ok:
                return Dialect(options, facts | await _version(session, campaign.endpoint))
            refused = answer.error
            if raw.http not in (400, 422):
                break
    raise MeasureError(f"{asker.url}: a first request failed: {refused}")


async def _models(session: aiohttp.ClientSession, campaign: Campaign) -> dict[str, Any]:
    url = f"{campaign.endpoint}/v1/models"
    try:
        async with session.get(url) as answer:
            text = await answer.text()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise MeasureError(f"{campaign.endpoint}: nobody answers there: {plain(error)}") from None
    if answer.status in (401, 403):
        raise MeasureError(f"{url}: answered {answer.status}: set client.api_key_env")
    if answer.status != 200:
        return {}  # some engines do not list; the first request will tell
    try:
        listed = {str(model["id"]): model for model in json.loads(text)["data"]}
    except (ValueError, TypeError, KeyError):
        raise MeasureError(f"{url}: this is no list of models: {text[:80]!r}") from None
    if campaign.model not in listed:
        there = ", ".join(listed) or "nothing"
        raise MeasureError(f"{url}: there is no model '{campaign.model}'; it serves {there}")
    longest = listed[campaign.model].get("max_model_len")
    return {"max_model_len": longest} if isinstance(longest, int) else {}


async def _version(session: aiohttp.ClientSession, endpoint: str) -> dict[str, Any]:
    """The engine's version, where it has the page that vLLM has."""
    try:
        async with session.get(f"{endpoint}/version") as answer:
            document = json.loads(await answer.text())
            return {"version": str(document["version"])} if answer.status == 200 else {}
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, TypeError, KeyError):
        return {}


async def stream(
    session: aiohttp.ClientSession, url: str, body: bytes, raw: RawAnswer, clock: MeasuringClock
) -> None:
    """Put one request and keep each piece of the answer with its instant. What goes wrong on the
    way is the answer's error; only being cancelled is raised, after noting it."""
    stamp, keep, now = raw.at_s.append, raw.data.append, clock.monotonic
    raw.sent_s = now()
    try:
        async with session.post(url, data=body) as answer:
            raw.http = answer.status
            content = answer.content
            while data := await content.readany():
                stamp(now())
                keep(data)
    except TimeoutError:
        raw.error = "timed out"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raw.error = f"the connection broke: {plain(error)}"
    except BaseException:
        raw.error = "cut off by the client"
        raise
    finally:
        raw.end_s = now()


def plain(error: BaseException) -> str:
    """An exception's own words, or its name where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
