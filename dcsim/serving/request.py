"""A request on its way."""

# compiled by mypyc
from __future__ import annotations

from dcsim.workload.stream import Prefix


class Request:
    """One request. Token counts are integers; times are seconds since the start of the run."""

    __slots__ = (
        "arrival_s",
        "cached",
        "computed",
        "decode_from",
        "first_token_s",
        "generated",
        "id",
        "output_tokens",
        "preemptions",
        "prefix",
        "priority",
        "prompt_tokens",
        "retries",
        "sequence",
        "shared",
        "stream",
        "taken",
        "tenant",
        "to_compute",
    )

    def __init__(
        self,
        id_: int,
        stream: int,
        arrival_s: float,
        prompt_tokens: int,
        output_tokens: int,
        tenant: int = 0,
        priority: int = 0,
        prefix: Prefix | None = None,
    ) -> None:
        self.id = id_
        self.stream = stream
        self.arrival_s = arrival_s
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.to_compute = prompt_tokens
        """Tokens to prefill: the prompt, and after a preemption what was generated as well."""
        self.computed = 0
        self.generated = 0
        """Output tokens emitted before `decode_from`."""
        self.decode_from = 0
        """Iteration count of its replica when it began to decode."""
        self.first_token_s = -1.0
        self.sequence = 0
        """Order of admission, for preemption of the youngest; 0 before the first."""
        self.preemptions = 0
        self.tenant = tenant
        self.priority = priority
        """The lower the sooner."""
        self.prefix = prefix
        self.retries = 0
        """Times that it has been sent again."""
        self.cached = 0
        """Prompt tokens found in the prefix cache when it was first admitted."""
        self.shared = 0
        """Tokens of its context that stand in the prefix cache rather than in blocks of its own;
        whole blocks."""
        self.taken: list[int] | None = None
        """Ids in the prefix cache that it refers to."""

    def start_over(self) -> None:
        """It failed and is sent again: nothing of it is left but its arrival."""
        self.retries += 1
        self.to_compute = self.prompt_tokens
        self.computed = self.generated = self.sequence = self.shared = self.cached = 0
        self.first_token_s = -1.0
        self.taken = None
