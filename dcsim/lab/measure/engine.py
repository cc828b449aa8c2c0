"""What an engine counts, by any engine's names, in the columns of engine.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dcsim.lab.measure.errors import SampleError
from dcsim.lab.measure.scrape import Page
from dcsim.lab.prometheus import Sample, pattern, samples

COLUMNS = (
    *("running", "waiting", "kv", "prompt_total", "generation_total", "iterations"),
    "cached_total",
)
COUNTERS = ("prompt_total", "generation_total", "iterations", "cached_total")
OPTIONAL = ("iterations", "cached_total")
"""Not counted by every engine. `prompt_total` counts whole prompts, `cached_total` those of their
tokens that the prefix cache held, which were not computed."""

NAMES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "vllm": {
        "running": ("vllm:num_requests_running",),
        "waiting": ("vllm:num_requests_waiting",),
        "kv": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
        "prompt_total": ("vllm:prompt_tokens_total",),
        "generation_total": ("vllm:generation_tokens_total",),
        "iterations": ("vllm:iteration_tokens_total_count",),
        "cached_total": ("vllm:prefix_cache_hits_total", "vllm:prefix_cache_hits"),
    },
    "sglang": {
        "running": ("sglang:num_running_reqs",),
        "waiting": ("sglang:num_queue_reqs",),
        "kv": ("sglang:token_usage",),
        "prompt_total": ("sglang:prompt_tokens_total",),
        "generation_total": ("sglang:generation_tokens_total",),
        "cached_total": ("sglang:cached_tokens_total",),
    },
    "llama.cpp": {
        "running": ("llamacpp:requests_processing",),
        "waiting": ("llamacpp:requests_deferred",),
        "kv": ("llamacpp:kv_cache_usage_ratio",),
        "prompt_total": ("llamacpp:prompt_tokens_total",),
        "generation_total": ("llamacpp:tokens_predicted_total",),
        "iterations": ("llamacpp:n_decode_total",),
    },
    "tensorrt-llm": {"kv": ("trtllm_kv_cache_utilization",)},
}
"""Metrics by engine and column, the newest name first: vLLM's and SGLang's `metrics` pages,
llama.cpp's server with --metrics, trtllm-serve's `prometheus/metrics`. A column that an engine
does not count is taken from what the client saw."""

Labels = tuple[tuple[str, str], ...]
BLOCK_TOKENS = 16
"""Tokens of a KV block as engine.csv counts them (the reader's unit, vLLM's default)."""
_CACHE_INFO = "vllm:cache_config_info"
_SGLANG_TOKENS = "sglang:max_total_num_tokens"


@dataclass
class EnginePage:
    """One engine's metrics page, read into columns."""

    page: Page
    engine: str
    columns: dict[str, str]
    """What it counts, and under which name."""
    kv_tokens: int | None
    """Tokens that the KV cache holds, where the page tells."""

    restarts: int = 0
    """Counters that fell so far: their process had begun again from 0."""

    def __post_init__(self) -> None:
        self._pattern = pattern(self.columns.values())
        self._counted: dict[str, dict[Labels, tuple[float, float]]] = {}
        """By column and label set: what was lost to restarts, and the last value."""

    def read(self) -> dict[str, float]:
        """Columns as the page has them now, summed over its label sets (the replicas that it
        speaks for), KV use as their mean. Counters go on where one of them began anew, and keep
        what a replica counted that is not there now. Raises SampleError."""
        page_samples = samples(self.page.fetch(), self._pattern)
        reading = {}
        for column, name in self.columns.items():
            samples_here = [
                (labels, value)
                for sample_name, labels, value in page_samples
                if sample_name == name
            ]
            if not samples_here:
                raise SampleError(f"{self.page.url}: {name} is no longer there")
            if column in COUNTERS:
                reading[column] = self._total(column, samples_here)
            else:
                total = sum(value for _, value in samples_here)
                reading[column] = total / (len(samples_here) if column == "kv" else 1)
        return reading

    def _total(self, column: str, values: Sequence[tuple[Mapping[str, str], float]]) -> float:
        known = self._counted.setdefault(column, {})
        for labels, value in values:
            key = tuple(sorted(labels.items()))
            lost, last = known.get(key, (0.0, 0.0))
            if value < last:
                lost += last
                self.restarts += 1
            known[key] = (lost, value)
        return sum(lost + last for lost, last in known.values())


def find_engine(page: Page) -> EnginePage | None:
    """The engine that a metrics page is of; None where none of ours counts there.

    Raises SampleError where there is no page.
    """
    every = [name for table in NAMES.values() for names in table.values() for name in names]
    page_samples = samples(page.fetch(), pattern([*every, _CACHE_INFO, _SGLANG_TOKENS]))
    here = {name for name, _, _ in page_samples}
    for engine, table in NAMES.items():
        columns = {
            column: next(name for name in names if name in here)
            for column, names in table.items()
            if here.intersection(names)
        }
        if columns:
            return EnginePage(page, engine, columns, _kv_tokens(page_samples))
    return None


def _kv_tokens(page_samples: Sequence[Sample]) -> int | None:
    for name, labels, value in page_samples:
        if name == _SGLANG_TOKENS:
            return int(value)
        if name == _CACHE_INFO:
            try:
                return int(labels["num_gpu_blocks"]) * int(labels["block_size"])
            except (KeyError, ValueError):
                return None
    return None


def null_block_share(idle_kv: float, kv_tokens: int | None) -> float:
    """What to add to KV use so that an idle engine holds one block of 16 tokens, as vLLM 0.10
    counts and the reader of engine.csv expects; 0 where it does already, or where the cache's size
    is not known."""
    if kv_tokens is None:
        return 0.0
    block = BLOCK_TOKENS / kv_tokens
    return 0.0 if idle_kv > 0.5 * block else block
