"""The iteration model against closed forms worked out here, and what must hold of any timing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.hardware.catalogue import load_catalogue
from dcsim.hardware.gpus import Gpu, TimingFit
from dcsim.hardware.models import ServedModel
from dcsim.hardware.roofline import IterationModel, work_costs
from dcsim.hardware.timing import timing_of

CATALOGUE = load_catalogue()
PUBLISHED = load_catalogue(timing_fits=False)
MODELS = sorted(CATALOGUE.models)
GPUS = sorted(CATALOGUE.gpus)


def ideal(gpu: str = "h100-sxm-80gb", **changes: float) -> Gpu:
    """A GPU that does everything at its data sheet's rate, with no overheads, but for changes."""
    constants = {
        "eff_flops": 1.0,
        "eff_bandwidth": 1.0,
        "message_scale": 1e-12,
        "per_token_sample_s": "0 s",
        "first_token_overhead_s": "0 s",
        "quantised_stream": 1.0,
        "overlap": 100.0,
        "routing": 1.0,
    } | changes
    fit = TimingFit(**constants, rows=1, median_error=0.0, source="test")
    return CATALOGUE.gpus[gpu].model_copy(update={"timing_fit": fit})


def decode_s(timing: IterationModel, batch: int, context: float) -> float:
    return timing.decode_s[batch] + timing.context_s * (context + batch)


def prefill_s(timing: IterationModel, tokens: int, prompts: int = 1) -> float:
    each = tokens / prompts
    return timing.mixed_s(0, 0.0, tokens, tokens * each / 2, 1.5 * tokens, prompts)


# --- the published form ----------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 7, 200, 600])
def test_published_dense_decode(batch: int) -> None:
    """Llama 3 70B on four A100, every term by hand (reference: powertrace-sim, roofline timing)."""
    gpu, model = PUBLISHED.gpu("a100-sxm-80gb"), PUBLISHED.model("llama-3-70b")
    timing = IterationModel(model, gpu, 4, 600)
    flops_s, bytes_s = 0.7202930524690343 * 312e12 * 4, 0.8610607620010952 * 2.0e12 * 4
    context = 900.0 * batch
    by_hand = (
        2 * 80 * 60.823549689396835e-6
        + max(2 * 68452360192 * batch / flops_s, 2 * 68452360192 / bytes_s)
        + max(2 * 1050673152 * batch / flops_s, 2 * 1050673152 / bytes_s)
        + batch * 8192 * 2 / bytes_s
        + batch * (2 * 80 * 2 * 8192 * 2 * 3 / 4) / 300e9  # two ring all-reduces a layer
        + (context + batch) * (2 * 80 * 8 * 128 * 2) / bytes_s
        + batch * 114.34275208970323e-6
    )
    assert decode_s(timing, batch, context) == pytest.approx(by_hand, rel=1e-9)


def test_published_prefill() -> None:
    """1,000 tokens of Llama 3 8B on one H100: computing outweighs reading in every product but the
    head's, which sees one token."""
    timing = IterationModel(PUBLISHED.model("llama-3-8b"), PUBLISHED.gpu("h100-sxm-80gb"), 1, 1)
    flops_s, bytes_s = 0.5825355726441318 * 990e12, 0.9999999999999991 * 3.35e12
    by_hand = (
        2 * 32 * 45.224516050193245e-6
        + 2 * 6979588096 * 1000 / flops_s
        + 2 * 525336576 / bytes_s
        + 1000 * 4096 * 2 / bytes_s
        + 4 * 32 * 128 * 32 * 1000 * 500 / flops_s
    )
    assert prefill_s(timing, 1000) == pytest.approx(by_hand, rel=1e-9)


# --- parts -----------------------------------------------------------------------------------


@given(st.integers(1, 300), st.floats(1, 20))
def test_overlap_lies_between_the_larger_and_the_sum(batch: int, p: float) -> None:
    """Computing and reading: hidden at best, one after the other at worst."""
    model = CATALOGUE.model("llama-3-8b")

    def at(overlap: float) -> float:
        return IterationModel(model, ideal(overlap=overlap), 1, batch).decode_s[batch]

    assert at(100.0) <= at(p) * (1 + 1e-12)
    assert at(p) <= at(1.0) * (1 + 1e-12)
    computing = 2 * (model.transformer_params + model.head_params) * batch / 990e12
    reading = 2 * (model.transformer_params + model.head_params) / 3.35e12
    embedding = batch * model.d_model * 2 / 3.35e12
    # Zero messages are a part in 10^12 of the published ones.
    assert at(1.0) == pytest.approx(computing + reading + embedding, rel=1e-9)


@pytest.mark.parametrize("name", ["qwen3-30b-a3b", "gpt-oss-120b"])
@pytest.mark.parametrize("tokens", [1, 4, 40, 400])
def test_experts_touched_are_those_of_independent_choices(name: str, tokens: int) -> None:
    """Drawing k of E experts for each token, a thousand times over."""
    model = CATALOGUE.model(name)
    costs = work_costs(model)
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(300):
        scores = rng.random((tokens, model.n_experts))
        chosen = np.argpartition(scores, model.experts_per_token, axis=1)
        touched = np.unique(chosen[:, : model.experts_per_token])
        shares.append(len(touched) / model.n_experts)
    spread = np.std(shares) / math.sqrt(len(shares)) + 1e-5
    assert costs.expert_share(tokens) == pytest.approx(np.mean(shares), abs=4 * spread)


@given(st.integers(1, 5000), st.floats(0.5, 1.0), st.sampled_from(MODELS))
def test_expert_reads_lie_between_one_tokens_and_all(
    tokens: int, routing: float, name: str
) -> None:
    model = CATALOGUE.model(name)
    share = work_costs(model, routing=routing).expert_share(tokens)
    if model.n_experts == 1:
        assert work_costs(model).expert_bytes == 0.0
        return
    least = model.experts_per_token / model.n_experts
    assert least * (1 - 1e-12) <= share <= 1.0
    assert work_costs(model, routing=routing).expert_share(1) == pytest.approx(least)
    assert share <= min(1.0, tokens * least) * (1 + 1e-12)


def test_expert_weights_are_read_as_far_as_they_are_touched() -> None:
    """One sequence of Qwen3 30B-A3B with nothing but reading: dense weights, head, 8 of 128
    experts, one embedding row."""
    model = CATALOGUE.model("qwen3-30b-a3b")
    timing = IterationModel(model, ideal(), 1, 1)
    dense = model.transformer_params - model.expert_params
    read = 2 * (dense + model.head_params + model.expert_params * 8 / 128 + model.d_model)
    assert timing.decode_s[1] == pytest.approx(read / 3.35e12, rel=1e-9)


def test_quantised_weights_stream_slower_than_their_bytes() -> None:
    model = CATALOGUE.model("llama-3-405b")
    whole = IterationModel(model, ideal(), 8, 1).decode_s[1]
    slow = IterationModel(model, ideal(quantised_stream=0.5), 8, 1).decode_s[1]
    assert slow - whole == pytest.approx(model.transformer_bytes / (8 * 3.35e12), rel=1e-9)
    assert model.transformer_bytes == pytest.approx(478.8e9, rel=1e-3)
    bf16 = CATALOGUE.model("llama-3-405b-bf16")
    ratio = work_costs(model).flops_per_token / work_costs(bf16).flops_per_token
    assert ratio == pytest.approx(1 - 0.5 * model.fp8_share)


def test_sliding_layers_stop_reading_at_their_window() -> None:
    """gpt-oss: half of the layers see all of the context, the others 128 tokens."""
    model = CATALOGUE.model("gpt-oss-20b")
    timing = IterationModel(model, ideal(), 1, 4)
    layer_kv = 2 * model.n_kv_heads * model.head_dim * 2
    assert timing.context_s == pytest.approx(12 * layer_kv / 3.35e12, rel=1e-9)
    more = timing.decode_s[4] - timing.decode_s[3]
    windows = 12 * layer_kv * 128 / 3.35e12
    embedding = model.d_model * 2 / 3.35e12
    touched = work_costs(model).expert_share(4) - work_costs(model).expert_share(3)
    experts = touched * model.expert_params * 0.53125 / 3.35e12
    assert more == pytest.approx(windows + embedding + experts, rel=1e-9)
    # Of a prompt far beyond the window, they compute a window a token.
    long, twice = (timing.mixed_s(0, 0.0, 1, seen, seen, 0) for seen in (10_000.0, 20_000.0))
    assert twice - long == pytest.approx(10_000 * 12 * layer_kv / 3.35e12, rel=1e-6)


# --- parallelism -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 4, 8])
def test_tensor_parallel_divides_all_but_the_messages(size: int) -> None:
    model = CATALOGUE.model("llama-3-70b")
    one, many = (IterationModel(model, ideal(), n, 256) for n in (1, size))
    sent = 256 * 4 * 80 * 8192 * 2 * (size - 1) / size / 450e9
    assert many.decode_s[256] == pytest.approx(one.decode_s[256] / size + sent, rel=1e-9)
    assert many.context_s == pytest.approx(one.context_s / size)


def test_messages_are_two_a_layer() -> None:
    model = CATALOGUE.model("llama-3-8b")
    loud, quiet = ideal(message_scale=1.0), ideal()
    gap = [
        IterationModel(model, gpu, 2, 1).decode_s[1]
        - IterationModel(model, quiet, 2, 1).decode_s[1]
        for gpu in (loud,)
    ]
    assert gap[0] == pytest.approx(64 * loud.timing.per_message_s[2], rel=1e-6)


@pytest.mark.parametrize("stages", [2, 4])
def test_pipeline_stages_carry_micro_batches(stages: int) -> None:
    """All sequences get a token in the time that a micro-batch takes through all stages."""
    model = CATALOGUE.model("llama-3-70b")
    gpu = ideal()
    alone = IterationModel(model, gpu, 2, 64)
    piped = IterationModel(model, gpu, 2, 64 * stages, pipeline_parallel=stages)
    context = 1000.0 * 64
    assert decode_s(piped, 64 * stages, stages * context) == pytest.approx(
        decode_s(alone, 64, context), rel=1e-9
    )
    # One prompt goes through one stage after the other: no quicker than through all on one.
    assert prefill_s(piped, 2000) == pytest.approx(prefill_s(alone, 2000), rel=1e-9)
    # As many prompts as stages follow each other: as quick as one of them.
    assert prefill_s(piped, 2000 * stages, stages) == pytest.approx(
        prefill_s(alone, 2000), rel=1e-9
    )
    assert work_costs(model, stages).bytes_per_iteration == stages * (
        2 * (model.transformer_params + model.head_params)
    )


def test_hops_between_stages_are_messages() -> None:
    model = CATALOGUE.model("llama-3-70b")
    gpu = ideal(message_scale=1.0)
    one, four = (IterationModel(model, gpu, 2, 4, pipeline_parallel=n) for n in (1, 4))
    hops = four.decode_s[4] - one.decode_s[1]
    assert hops == pytest.approx(3 * gpu.timing.per_message_s[2], rel=1e-6)


@pytest.mark.parametrize("batch", [1, 16, 4000])
def test_the_busiest_expert_parallel_rank_sets_the_pace(batch: int) -> None:
    """Against the largest of eight ranks' loads when each expert is touched by chance."""
    model = CATALOGUE.model("qwen3-235b-a22b")
    sliced = IterationModel(model, ideal(), 8, batch)
    whole = IterationModel(model, ideal(), 8, batch, expert_parallel=8)
    share = work_costs(model).expert_share(batch)
    all_s = model.expert_params * 2 / (8 * 3.35e12)
    busiest = share + (whole.decode_s[batch] - sliced.decode_s[batch]) / all_s
    if share > 0.999:
        assert busiest == pytest.approx(share, rel=1e-3)
        return
    rng = np.random.default_rng(1)
    drawn = rng.binomial(16, share, (4000, 8)).max(axis=1) / 16
    # sqrt(2 ln r) deviations bound the expected largest of r from above, by a third at r = 8.
    assert drawn.mean() <= busiest <= share + 1.6 * (drawn.mean() - share)


# --- any timing ------------------------------------------------------------------------------


@st.composite
def configurations(draw: st.DrawFn) -> IterationModel:
    model, gpu = CATALOGUE.models[draw(st.sampled_from(MODELS))], CATALOGUE.gpus["h100-sxm-80gb"]
    gpu = CATALOGUE.gpus[draw(st.sampled_from(GPUS))] if draw(st.booleans()) else gpu
    size = draw(st.sampled_from([1, 2, 4, 8]))
    experts = size if model.n_experts > 1 and draw(st.booleans()) else 1
    return IterationModel(model, gpu, size, 66, draw(st.sampled_from([1, 2, 3])), experts)


@given(
    configurations(),
    st.integers(1, 64),
    st.floats(0, 1e6),
    st.integers(1, 4000),
    st.integers(1, 8),
)
def test_more_work_is_never_quicker(
    timing: IterationModel, batch: int, context: float, tokens: int, prompts: int
) -> None:
    slack = 1 + 1e-12
    assert decode_s(timing, batch, context) <= decode_s(timing, batch + 1, context) * slack
    assert decode_s(timing, batch, context) <= decode_s(timing, batch, context + 100) * slack

    def mixed(batch: int, context: float, tokens: int) -> float:
        half = tokens * tokens / prompts / 2
        return timing.mixed_s(batch, context, tokens, half, 1.5 * tokens, prompts)

    base = mixed(batch, context, tokens)
    for more in (
        mixed(batch + 1, context, tokens),
        mixed(batch, context + 100, tokens),
        mixed(batch, context, tokens + 16),
    ):
        assert base <= more * slack
    assert decode_s(timing, batch, context) <= base * slack


@given(configurations(), st.integers(1, 64), st.floats(0, 1e6))
def test_an_iteration_without_prompts_is_a_decode(
    timing: IterationModel, batch: int, context: float
) -> None:
    """Spans use the closed form, single iterations the other function; and the form is linear in
    the context."""
    mixed = timing.mixed_s(batch, context, 0, 0.0, 0.0, 0)
    assert mixed == pytest.approx(decode_s(timing, batch, context), rel=1e-12)
    rise = decode_s(timing, batch, context + 1000) - decode_s(timing, batch, context)
    assert rise == pytest.approx(1000 * timing.context_s, rel=1e-6)


def test_a_correction_scales_every_iteration() -> None:
    model = CATALOGUE.model("qwen3-8b")
    gpu = CATALOGUE.gpu("h100-sxm-80gb")
    assert gpu.timing_fit is not None
    factor = timing_of(model, gpu).factor
    assert factor == gpu.timing_fit.corrections["qwen3"].factor != 1.0
    stranger = model.model_copy(update={"family": "unheard-of"})
    with_it, without = (IterationModel(m, gpu, 1, 8) for m in (model, stranger))
    assert with_it.decode_s[8] == pytest.approx(factor * without.decode_s[8])
    assert prefill_s(with_it, 500) == pytest.approx(factor * prefill_s(without, 500))


def test_models_describe_themselves() -> None:
    dense: ServedModel = CATALOGUE.model("llama-3-8b")
    assert dense.active_params == dense.transformer_params
    assert not dense.quantised
    moe = CATALOGUE.model("qwen3-235b-a22b")
    # 22B active with embedding and head, as the name says.
    assert moe.active_params + 2 * moe.head_params == pytest.approx(22e9, rel=0.02)
    assert CATALOGUE.model("gpt-oss-120b").quantised
    assert CATALOGUE.model("llama-3-405b").quantised
