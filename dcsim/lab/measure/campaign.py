"""What a campaign file may say, and its reading: problems come all at once, each with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from dcsim.errors import Problem, ScenarioError
from dcsim.lab.measure import raw
from dcsim.scenario.models import Name, Spec, Tokens
from dcsim.spec.document import Document, Steps, read
from dcsim.spec.units import RequestsPerSecond, Seconds, SecondsOrZero
from dcsim.spec.validation import validate_as

TRAINABLE_S = 60.0
"""Least time that `dcsim power train` takes of one run."""


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PydanticCustomError(
            "order",
            "expected an address such as 'http://localhost:8000', not '{text}'",
            {"text": text},
        )
    if parts.username or parts.password:
        raise PydanticCustomError(
            "order", "an address must not hold a password: it would be written to every manifest"
        )
    return text.rstrip("/")


Url = Annotated[str, AfterValidator(_url)]
Index = Annotated[int, Field(ge=0, le=63)]
Batch = Annotated[int, Field(ge=1, le=65_536)]


class Metrics(Spec):
    """The engine's own counters."""

    url: Url | None = None
    """None: `/metrics` of the endpoint."""
    period_s: Seconds = Field(default=0.25, alias="period")
    required: bool = True
    """False: where the endpoint has none, the client's own counts stand in."""
    kv_tokens: int | None = Field(default=None, ge=16)
    """What the engine's KV cache holds, where its metrics do not say."""


class GpuMeter(Spec):
    """NVML."""

    indices: tuple[Index, ...] | None = Field(default=None, min_length=1)
    """Of the GPUs that serve the model; None: the first `tensor_parallel`."""
    period_s: Annotated[Seconds, Field(le=0.25)] = Field(default=0.1, alias="period")


class Dcgm(Spec):
    """A dcgm-exporter's page."""

    url: Url
    period_s: Seconds = Field(default=1.0, alias="period")


class IpmiMeter(Spec):
    """The server's own wall power by `ipmitool dcmi power reading`, on the machine itself."""

    kind: Literal["ipmi"]
    period_s: Seconds = Field(default=1.0, alias="period")


class RedfishMeter(Spec):
    """The server's own wall power from its management controller."""

    kind: Literal["redfish"]
    url: Url
    """The full address of a `Power` or `EnvironmentMetrics` resource of the chassis."""
    user_env: str | None = None
    password_env: str | None = None
    """Names of environment variables; what they hold is never written."""
    period_s: Seconds = Field(default=1.0, alias="period")


class Meter(Spec):
    """What is sampled, and how often."""

    gpu: GpuMeter = GpuMeter()
    engine: Metrics = Metrics()
    dcgm: Dcgm | None = None
    server: Annotated[IpmiMeter | RedfishMeter, Field(discriminator="kind")] | None = None


class Client(Spec):
    """How requests are put."""

    api: Literal["completions", "chat"] = "completions"
    prompts: Literal["ids", "words"] = "ids"
    """`ids`: random token ids, so that prompts have exactly the planned length; `words`: common
    English words, about one token each. Chat takes words only."""
    lowest_id: int = Field(default=1000, ge=0)
    highest_id: int = Field(default=20000, ge=1)
    timeout_s: Seconds = Field(default=600.0, alias="timeout")
    api_key_env: str | None = None
    """Name of the environment variable with the endpoint's key; the key is never written."""


class Expect(Spec):
    """The user's guess at the engine's speed: it moves only the plan's figures of time."""

    token_time_s: Seconds = Field(default=0.025, alias="token_time")
    """Between two tokens of one stream."""
    prompt_rate: float = Field(default=5000.0, gt=0)
    """Prompt tokens a second."""


class BasePart(Spec):
    """Base of all parts."""

    name: Name
    before_s: SecondsOrZero = Field(default=10.0, alias="before")
    """Idle, sampled, before the first request."""
    after_s: SecondsOrZero = Field(default=10.0, alias="after")
    """Idle, sampled, after the last answer."""
    repeats: int = Field(default=1, ge=1, le=100)
    """Each with another seed and a run folder of its own."""


class IdlePart(BasePart):
    """Nothing is asked."""

    kind: Literal["idle"]
    duration_s: Seconds = Field(alias="duration")


class RatesPart(BasePart):
    """Open arrivals: every rate with every burstiness and every kind of length."""

    kind: Literal["rates"]
    rates_per_s: tuple[RequestsPerSecond, ...] = Field(alias="rates", min_length=1)
    burstiness: tuple[Annotated[float, Field(ge=0.001, le=10_000)], ...] = Field(
        default=(1.0,), min_length=1
    )
    """Gamma shapes, as in vLLM's benchmark: 1 is Poisson, less is burstier."""
    tokens: tuple[Tokens, ...] = Field(min_length=1)
    duration_s: Seconds = Field(alias="duration")
    """During which requests arrive."""


class StaircasePart(BasePart):
    """Batches held: at each stair, so many streams each ask again as soon as they are answered."""

    kind: Literal["staircase"]
    batches: tuple[Batch, ...] = Field(min_length=1)
    rounds: int = Field(default=1, ge=1, le=10_000)
    """Requests of each stream."""
    tokens: Tokens
    rest_s: SecondsOrZero = Field(default=5.0, alias="rest")
    """Idle between stairs."""


class StepsPart(BasePart):
    """Edges for the meter's response: a batch all at once, again and again."""

    kind: Literal["steps"]
    batch: Batch
    tokens: Tokens
    period_s: Seconds = Field(alias="period")
    """From one edge to the next; answers should be done well before."""
    count: int = Field(default=10, ge=1, le=10_000)


AnyPart = Annotated[IdlePart | RatesPart | StaircasePart | StepsPart, Field(discriminator="kind")]


class Campaign(Spec):
    """A whole campaign on one model and its GPUs."""

    name: Name
    endpoint: Url
    """Without `/v1`."""
    model: str = Field(min_length=1)
    """As the endpoint calls it."""
    serves: str | None = None
    """The catalogue's name of the model; None: the last part of `model`, in lower case."""
    hardware: str | None = None
    """The catalogue's name of the GPU or its beginning, such as `A100`; None: by what NVML says."""
    tensor_parallel: int = Field(default=1, ge=1, le=64)
    seed: int = Field(default=1, ge=0)
    server: dict[str, bool | int | float | str] = Field(default_factory=dict)
    """The engine's limits as it was started, such as `max_num_seqs`; goes into the manifest."""
    meter: Meter = Meter()
    client: Client = Client()
    expect: Expect = Expect()
    parts: tuple[AnyPart, ...] = Field(min_length=1)


def load_campaign(path: str | Path) -> Campaign:
    """Read and check a campaign file. Raises ScenarioError with every problem found."""
    document = read(Path(path), str(path))
    if document.data is None:
        raise ScenarioError(document.problems)
    _files(document)
    campaign = validate_as(document, Campaign)
    _check(document)
    if document.problems or campaign is None:
        raise ScenarioError(sorted(set(document.problems), key=_order))
    return campaign


def _files(document: Document) -> None:
    """Files of lengths start where the campaign file stands."""
    for at, tokens in _lengths(document):
        named = raw.text(tokens, "file")
        if named is not None:
            tokens["file"] = raw.absolute(document, (*at, "file"), named)


def _lengths(document: Document) -> list[tuple[Steps, dict[str, Any]]]:
    specs: list[tuple[Steps, dict[str, Any]]] = []
    for path, part in raw.items(document, "parts"):
        tokens = part.get("tokens")
        listed = tokens if isinstance(tokens, list) else [tokens]
        for index, spec in enumerate(listed):
            at = (*path, "tokens", index) if isinstance(tokens, list) else (*path, "tokens")
            if isinstance(spec, dict):
                specs.append((at, spec))
                inner = spec.get("parts")
                for number, kind in enumerate(inner if isinstance(inner, list) else []):
                    specs.append(((*at, "parts", number, "tokens"), raw.block(kind, "tokens")))
    return specs


def _check(document: Document) -> None:
    """What the models cannot see."""
    from dcsim.workload.tokens import load_fits

    first: dict[str, int] = {}
    for path, part in raw.items(document, "parts"):
        name = raw.text(part, "name")
        if name in first:
            document.add((*path, "name"), f"the name '{name}' is taken by parts.{first[name]}")
        elif name is not None:
            first[name] = int(path[1])
    for at, tokens in _lengths(document):
        fit = raw.text(tokens, "name")
        if raw.text(tokens, "kind") == "fit" and fit is not None and fit not in load_fits():
            known = ", ".join(load_fits())
            document.add((*at, "name"), f"there is no fit '{fit}'", f"there is {known}")
        file = raw.text(tokens, "file")
        if file is not None and "${" not in file and not Path(file).is_file():
            document.add((*at, "file"), f"there is no file {file}")
    client = raw.block(document.data, "client")
    if client.get("api") == "chat" and client.get("prompts", "ids") == "ids":
        document.add(("client",), "chat takes no token ids", "add `prompts: words`")
    low, high = raw.number(client, "lowest_id", 1000), raw.number(client, "highest_id", 20000)
    if low is not None and high is not None and low >= high:
        document.add(("client", "highest_id"), "must be above `lowest_id`")
    gpus = raw.block(raw.block(document.data, "meter"), "gpu").get("indices")
    parallel = raw.number(document.data, "tensor_parallel", 1)
    if isinstance(gpus, list) and parallel is not None and len(set(map(str, gpus))) != parallel:
        document.add(
            ("meter", "gpu", "indices"),
            f"expected {parallel:g} different GPUs, as `tensor_parallel` says",
        )


def _order(problem: Problem) -> tuple[int, str, str]:
    return (-1 if problem.line is None else problem.line), problem.path, problem.message
