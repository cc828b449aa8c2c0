"""Who asks: streams of requests, and the tenants that they belong to."""

from __future__ import annotations

from pydantic import Field

from dcsim.scenario.models.arrivals import Arrivals
from dcsim.scenario.models.lengths import Sessions, Tokens
from dcsim.spec.base import Name, Spec
from dcsim.spec.units import Seconds


class Slo(Spec):
    """What a tenant was promised; a request that keeps all of it counts as goodput."""

    ttft_s: Seconds | None = Field(default=None, alias="ttft")
    """Longest time to first token."""
    tpot_s: Seconds | None = Field(default=None, alias="tpot")
    """Longest mean time per output token after the first."""
    attainment: float = Field(default=0.99, gt=0, le=1)
    """Share of the requests that shall keep all of it; `dcsim run --fail-on slo` holds it to
    that."""


class Tenant(Spec):
    """A customer or a class of requests."""

    name: Name
    """How streams and results call it."""
    priority: int = Field(default=0, ge=-1000, le=1000)
    """The lower the sooner, as in vLLM, where an engine's `scheduling_policy` is `priority`."""
    share: float = Field(default=1.0, gt=0)
    """Weight of this tenant among those of a stream: its part of the requests."""
    slo: Slo | None = None
    """What it was promised."""


class Retry(Spec):
    """What clients do when a request fails: its replica lost power, or none was up. One that was
    rejected or timed out is not sent again."""

    attempts: int = Field(ge=1, le=100)
    """Times that it is sent again."""
    delay_s: Seconds = Field(default=1.0, alias="delay")
    """From the failure to the next try."""
    backoff: float = Field(default=2.0, ge=1, le=10)
    """Each further delay is so many times the one before."""


class Stream(Spec):
    """One stream of requests and the model it asks for."""

    name: Name
    """Seeds the stream's requests too: another name, other requests."""
    model: Name
    """A served model of the catalogue; some server group must serve it."""
    arrivals: Arrivals
    """When requests come."""
    tokens: Tokens | None = None
    """How long requests are; required unless `arrivals` is a replay, which brings its own."""
    system_prompt: int = Field(default=0, ge=0, le=1_000_000)
    """Tokens, the same for all, with which every prompt of the stream begins: on top of `tokens`;
    not with a replay."""
    sessions: Sessions | None = None
    """Conversations whose prompts grow from turn to turn; not with a replay. None: each request
    stands alone."""
    retry: Retry | None = None
    """What clients do when a request fails: its replica lost power, or none was up. None: a
    request that fails is lost."""
    tenants: tuple[Name, ...] = ()
    """Names of the tenants whose requests these are, by their shares; without any, all of them."""
