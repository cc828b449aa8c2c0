"""The catalogue against published configurations, shipped fits and measured runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from dcsim.scenario import CatalogueError, load_catalogue
from dcsim.scenario.catalogue import Curve

FEED_FORWARD = {"llama-3-8b": 14336, "llama-3-70b": 28672, "qwen3-8b": 12288, "qwen3-14b": 17408}
TOTAL = {  # as the model hubs state them
    "llama-3-8b": 8_030_261_248,
    "llama-3-70b": 70_553_706_496,
    "qwen3-8b": 8_190_735_360,
    "qwen3-14b": 14_768_307_200,
}


def data_folder() -> Path:
    """The reference data, or a skip with the reason."""
    default = Path(__file__).parents[2] / ".." / "shared" / "data"
    folder = Path(os.environ.get("DCSIM_DATA") or default)
    if not folder.is_dir():
        pytest.skip("no reference data: DCSIM_DATA names no folder")
    return folder


@pytest.mark.parametrize("name", sorted(TOTAL))
def test_parameters_follow_from_the_architecture(name: str) -> None:
    model = load_catalogue().model(name)
    d, heads = model.d_model, model.head_dim
    attention = 2 * d * model.n_heads * heads + 2 * d * model.n_kv_heads * heads
    norms = 2 * d + (2 * heads if name.startswith("qwen") else 0)
    layer = attention + 3 * d * FEED_FORWARD[name] + norms
    assert model.transformer_params == model.n_layers * layer + d
    assert model.head_params == model.vocab_size * d
    assert model.weight_bytes == 2 * TOTAL[name]


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
    "points", [((1.1, 60.0), (1.1, 30.0)), ((1.1, 60.0), (1.2, 60.0)), ((1.1, 60.0), (1.2, 0.0))]
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
