"""The catalogue against published configurations, shipped fits and measured runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from dcsim.errors import CatalogueError
from dcsim.hardware import load_catalogue
from dcsim.hardware.curves import Curve
from dcsim.hardware.models import ServedModel
from dcsim.hardware.timing import timing_of

FEED_FORWARD = {
    "llama-3-8b": 14336,
    "llama-3-70b": 28672,
    "deepseek-r1-distill-8b": 14336,
    "deepseek-r1-distill-70b": 28672,
    "llama-3-405b": 53248,
    "llama-3-405b-bf16": 53248,
    "qwen3-8b": 12288,
    "qwen3-14b": 17408,
    "qwen3-32b": 25600,
    "qwen3-30b-a3b": 768,
    "qwen3-235b-a22b": 1536,
    "qwen3-235b-a22b-fp8": 1536,
    "qwen3-coder-480b-a35b": 2560,
    "gpt-oss-20b": 2880,
    "gpt-oss-120b": 2880,
    "gemma-3-12b": 15360,
    "gemma-3-27b": 21504,
}
TOTAL = {  # as the model hubs state them
    "llama-3-8b": 8_030_261_248,
    "llama-3-70b": 70_553_706_496,
    "deepseek-r1-distill-8b": 8_030_261_248,
    "deepseek-r1-distill-70b": 70_553_706_496,
    "llama-3-405b": 405_853_388_800,
    "llama-3-405b-bf16": 405_853_388_800,
    "qwen3-8b": 8_190_735_360,
    "qwen3-14b": 14_768_307_200,
    "qwen3-32b": 32_762_123_264,
    "qwen3-30b-a3b": 30_532_122_624,
    "qwen3-235b-a22b": 235_093_634_560,
    "qwen3-235b-a22b-fp8": 235_093_634_560,
    "qwen3-coder-480b-a35b": 480_154_875_392,
    "gpt-oss-20b": 20_914_757_184,
    "gpt-oss-120b": 116_829_156_672,
    "gemma-3-12b": 11_766_034_176,  # without the vision tower, as is the next
    "gemma-3-27b": 27_009_346_304,
}


def data_folder() -> Path:
    """The reference data, or a skip with the reason."""
    default = Path(__file__).parents[2] / ".." / "shared" / "data"
    folder = Path(os.environ.get("DCSIM_DATA") or default)
    if not folder.is_dir():
        pytest.skip("no reference data: DCSIM_DATA names no folder")
    return folder


@pytest.mark.parametrize("name", sorted(load_catalogue().models))
def test_parameters_follow_from_the_architecture(name: str) -> None:
    model = load_catalogue().model(name)
    d, size, heads = model.d_model, model.head_dim, model.n_heads
    layer = 2 * d * heads * size + 2 * d * model.n_kv_heads * size
    layer += (4 if name.startswith("gemma") else 2) * d  # norms
    layer += 2 * size if name.startswith(("qwen", "gemma")) else 0
    experts = 0
    if name.startswith("gpt-oss"):
        layer += (heads + 2 * model.n_kv_heads) * size + d + heads  # biases, sinks
        layer += (d + 1) * model.n_experts  # router
        experts = model.n_experts * (3 * d * FEED_FORWARD[name] + 2 * FEED_FORWARD[name] + d)
    elif model.n_experts > 1:
        layer += d * model.n_experts
        experts = model.n_experts * 3 * d * FEED_FORWARD[name]
    else:
        layer += 3 * d * FEED_FORWARD[name]
    assert model.expert_params == model.n_layers * experts
    assert model.transformer_params == model.n_layers * (layer + experts) + d
    assert model.head_params == model.vocab_size * d
    copies = 1 if model.tied_embeddings else 2
    assert model.transformer_params + copies * model.head_params == TOTAL[name]
    if not model.quantised:
        assert model.weight_bytes == 2 * TOTAL[name]


def test_quantised_weights_are_as_large_as_published() -> None:
    fits = json.loads((data_folder() / "published/ledger_model.json").read_text())
    for key, name in (
        ("llama-3-405b", "llama-3-405b"),
        ("gpt-oss-20b", "gpt-oss-20b"),
        ("gpt-oss-120b", "gpt-oss-120b"),
    ):
        published = fits["architectures"][key]
        model = load_catalogue().model(name)
        assert model.weight_bytes == pytest.approx(published["w_bytes"], rel=2e-3)
        if "swa_window" in published:
            assert model.sliding_window == published["swa_window"]
            assert model.n_experts == published["n_experts"]
            assert model.experts_per_token == published["top_k"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"experts_per_token": 200}, "at most n_experts"),
        ({"expert_params": 1e12}, "less than transformer_params"),
        ({"expert_params": 0.0}, "come together"),
        ({"sliding_layers": 10}, "come together"),
        ({"sliding_layers": 99, "sliding_window": 128}, "at most n_layers"),
    ],
)
def test_parts_of_a_model_must_fit_together(change: dict[str, float], message: str) -> None:
    model = load_catalogue().model("qwen3-30b-a3b")
    with pytest.raises(ValidationError, match=message):
        ServedModel.model_validate(model.model_dump() | change)


def test_timing_says_how_it_is_known() -> None:
    """Measured: this model on this GPU was in the fit; fitted: the GPU was; else extrapolated."""
    catalogue = load_catalogue()

    def evidence(model: str, gpu: str) -> str:
        return timing_of(catalogue.model(model), catalogue.gpu(gpu)).evidence

    assert evidence("qwen3-8b", "a100-sxm-80gb") == "measured"
    assert evidence("qwen3-32b", "a100-sxm-80gb") == "fitted"
    assert evidence("llama-3-70b", "h100-sxm-80gb") == "measured"
    assert evidence("deepseek-r1-distill-70b", "h100-sxm-80gb") == "measured"
    assert evidence("llama-3-405b-bf16", "h100-sxm-80gb") == "fitted"
    assert evidence("gpt-oss-120b", "b200-sxm-180gb") == "measured"
    for model in catalogue.models:
        assert evidence(model, "h200-sxm-141gb") == "extrapolated"
    bare = load_catalogue(timing_fits=False)
    published = timing_of(bare.model("llama-3-8b"), bare.gpu("b200-sxm-180gb"))
    assert published.evidence == "extrapolated" and published.factor == 1.0


def test_corrections_are_for_families_and_shrunk() -> None:
    catalogue = load_catalogue()
    families = {model.family for model in catalogue.models.values()}
    for gpu in catalogue.gpus.values():
        fit = gpu.timing_fit
        assert fit is not None and len(fit.source) > 20
        for family, correction in fit.corrections.items():
            assert family in families
            assert 0.5 < correction.factor < 2.0
            for name in correction.models:
                assert catalogue.model(name).family == family


def test_weights_match_the_measured_runs() -> None:
    """The runs' manifests leave the norms out: 0.01 % at most."""
    manifests = sorted((data_folder() / "measured/vllm_runs").glob("*/manifest.json"))
    assert manifests
    for manifest in manifests:
        run = json.loads(manifest.read_text())
        model = load_catalogue().model(run["model"].split("/")[1].lower())
        arch = run["arch"]
        assert model.weight_bytes == pytest.approx(arch["w_bytes"], rel=1e-4)
        assert (model.n_layers, model.d_model) == (arch["n_layers"], arch["d_model"])
        assert (model.n_kv_heads, model.head_dim) == (arch["n_kv"], arch["head_dim"])


def test_coefficients_match_the_published_fits() -> None:
    fits = json.loads((data_folder() / "published/ledger_model.json").read_text())
    for name, key in (("a100-sxm-80gb", "A100"), ("h100-sxm-80gb", "H100")):
        gpu = load_catalogue().gpu(name)
        timing, power = fits["timing"][key], fits["power_dense"][key]
        hardware = fits["hardware_profiles_used"][key]
        assert gpu.peak_flops == hardware["compute_peak_flops_s"]
        assert gpu.hbm_bandwidth_bytes_s == hardware["hbm_bandwidth_bytes_s"]
        assert gpu.nameplate_w == hardware["board_power_w"]
        assert gpu.timing.eff_flops == timing["eff_flops"]
        assert gpu.timing.eff_bandwidth == timing["eff_bw"]
        for size, seconds in timing["per_message_s"].items():
            assert gpu.timing.per_message_s[int(size)] == pytest.approx(seconds, rel=1e-12)
        for mine, theirs in (
            (gpu.timing.per_token_sample_s, timing["per_token_sample_s"]),
            (gpu.timing.first_token_overhead_s, timing["first_token_overhead_s"]),
        ):
            assert mine == pytest.approx(theirs, rel=1e-12)
        ours = gpu.ledger_power
        assert [ours.idle_w, ours.active_weight_w, ours.compute_w, ours.memory_w] == power[
            "coefficients"
        ]
        assert ours.delay_s == power["delay_s"]


def test_servers_name_known_gpus_and_fit_their_nameplate() -> None:
    catalogue = load_catalogue()
    for server in catalogue.servers.values():
        gpu = catalogue.gpu(server.gpu)
        gpus_w = server.gpu_count * gpu.nameplate_w
        assert gpus_w + server.non_gpu_w < server.nameplate_w < 2.5 * gpus_w


def test_every_entry_has_a_source() -> None:
    catalogue = load_catalogue()
    for gpu in catalogue.gpus.values():
        assert len(gpu.timing.source) > 20 and len(gpu.ledger_power.source) > 20
    for table in (catalogue.gpus, catalogue.models, catalogue.servers, catalogue.curves):
        for name, entry in table.items():
            assert entry.name == name
            assert len(entry.source) > 20


def test_curves_hold_the_rating_and_meet_their_standard() -> None:
    """UL 489: no trip at 100 %; at 135 % within 1 or 2 h, at 200 % within 2 to 8 min."""
    curves = load_catalogue().curves
    for curve in curves.values():
        assert curve.points[0][0] > 1.0
    fast, slow = (
        dict(curves["thermal-magnetic"].points),
        dict(curves["thermal-magnetic-slow"].points),
    )
    assert (fast[1.35], fast[2.0]) == (3600, 120)
    assert (slow[1.35], slow[2.0]) == (7200, 480)
    assert dict(curves["dynamo-rpp"].points)[1.4] == 60


@pytest.mark.parametrize(
    "points", [((1.1, 60.0), (1.1, 30.0)), ((1.1, 60.0), (1.2, 61.0)), ((1.1, 60.0), (1.2, 0.0))]
)
def test_a_curve_must_fall(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValidationError, match="rising multiples"):
        Curve(name="c", title="c", points=points, source="test")


def test_unknown_names_get_the_nearest() -> None:
    catalogue = load_catalogue()
    with pytest.raises(CatalogueError, match=r"no model 'llama3-70b'.*'llama-3-70b'"):
        catalogue.model("llama3-70b")
    with pytest.raises(CatalogueError, match="a100-sxm-80gb"):
        catalogue.gpu("a100")
