"""What a KV cache holds, by hand, and that checks, serving and power agree on it."""

from __future__ import annotations

import pytest

from dcsim.errors import ScenarioError
from dcsim.hardware import load_catalogue
from dcsim.hardware.kv import kv_capacity_blocks, kv_capacity_tokens
from dcsim.ledger import ReplicaConfig
from dcsim.plant import ResolvedGroup
from dcsim.power.look_up import capacity_tokens
from dcsim.scenario import loads
from tests.scenario.sample import GOOD

CATALOGUE = load_catalogue()


def test_capacity_by_hand() -> None:
    """Qwen3 8B on an H100: (0.9 x 80 GB - 16.38 GB) / 147,456 bytes, in blocks of 16; measured
    runs had 25,031, with the card's real 85 GB."""
    model, gpu = CATALOGUE.model("qwen3-8b"), CATALOGUE.gpu("h100-sxm-80gb")
    blocks = kv_capacity_blocks(model, gpu.hbm_bytes, 1)
    assert blocks == int((72e9 - model.weight_bytes) / (2 * 36 * 8 * 128 * 2) / 16) == 23574
    assert kv_capacity_tokens(model, gpu.hbm_bytes, 1) == 16 * 23574
    assert kv_capacity_blocks(CATALOGUE.model("llama-3-70b"), gpu.hbm_bytes, 1) == 0
    # Half of gpt-oss's layers hold 128 tokens of a sequence: an eighth of 1,024.
    oss = CATALOGUE.model("gpt-oss-20b")
    assert oss.held_kv_bytes_per_token == oss.kv_bytes_per_token * (0.5 + 0.5 / 8)


@pytest.mark.parametrize(
    ("engine", "tokens"),
    [
        ("", 8816),  # (0.9 x 160 GB - 141.1 GB) / 327,680 bytes = 8,827 tokens: 551 blocks of 16
        ("block_tokens: 64, ", 8768),
        ("gpu_memory_utilization: 92 %, ", 18592),
        ("num_gpu_blocks_override: 100, ", 1600),
    ],
)
def test_checks_and_power_know_what_serving_plays(engine: str, tokens: int) -> None:
    """The longest request that the checks let pass is what a replica's KV cache holds."""

    def two_gpus(length: int) -> str:
        keys = f"{engine}max_model_len: {length}"
        return GOOD.replace("tensor_parallel: 8", f"tensor_parallel: 2\n    engine: {{{keys}}}")

    with pytest.raises(ScenarioError, match=f"has room for {tokens} "):
        loads(two_gpus(tokens + 1))
    (group,) = loads(two_gpus(tokens)).servers
    config = ResolvedGroup.resolve(group, CATALOGUE).config
    assert config.kv_tokens == tokens == capacity_tokens(config, CATALOGUE)


def test_power_takes_vllms_defaults_where_no_engine_is_known() -> None:
    config: ReplicaConfig = CATALOGUE.replica_config("llama-3-70b", "a100-sxm-80gb", 2)
    assert config.kv_tokens is None
    assert capacity_tokens(config, CATALOGUE) == 8816
