"""The text format of Prometheus, as pages and logs have it."""

from __future__ import annotations

import pytest

from dcsim.lab.prometheus import LoggedSample, Sample, parse_line, pattern, samples

PAGE = b"""# HELP vllm:num_requests_running Number of requests.
vllm:num_requests_running{engine="0",model_name="a \\"b\\" {c}"} 3.0
vllm:num_requests_running_total 9
vllm:kv_cache_usage_perc{engine="0"} NaN
vllm:prompt_tokens_total 1.5e+06 1784576425020
DCGM_FI_DEV_POWER_USAGE{gpu="1", UUID="GPU-7"} twelve
"""


def test_a_page_and_its_lines_say_the_same() -> None:
    """By name; no longer names, no values that are no finite number."""
    names = ("vllm:num_requests_running", "vllm:kv_cache_usage_perc", "vllm:prompt_tokens_total")
    found = samples(PAGE, pattern(names))
    assert found == [
        Sample(names[0], {"engine": "0", "model_name": r"a \"b\" {c}"}, 3.0),
        Sample(names[2], {}, 1.5e6),
    ]
    lines = [parse_line(line) for line in PAGE.decode().splitlines()]
    assert lines[1] == LoggedSample(names[0], found[0].labels, "3.0", None)
    assert lines[4] == LoggedSample(names[2], {}, "1.5e+06", "1784576425020")
    assert lines[5] is not None and lines[5].labels == {"gpu": "1", "UUID": "GPU-7"}


@pytest.mark.parametrize("line", ["", "# TYPE a gauge", "name", "1name 3", "a{b=c 3", "a 3 4 5"])
def test_what_is_no_sample_is_none(line: str) -> None:
    assert parse_line(line) is None
