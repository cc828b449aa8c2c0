"""Packs: what is written is read back, what is damaged is refused, what ships is sound."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from dcsim.errors import PackError
from dcsim.lab.bench import campaign
from dcsim.lab.learn.evaluate import generate
from dcsim.lab.learn.published import published_key, read_published
from dcsim.power.gru import GruPower
from dcsim.power.linear_ledger import LinearLedger
from dcsim.power.pack import any_key, find_pack, load, save, shipped
from tests.power.bench import CATALOGUE, LLAMA, QWEN, ledger, small_pack


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "small.h5"
    save(small_pack(LLAMA, QWEN), path)
    return path


def test_round_trip(saved: Path) -> None:
    found, given = load(saved), small_pack(LLAMA, QWEN)
    assert (found.name, found.step_s, found.notes) == ("small", 0.25, "a note")
    assert np.array_equal(found.weight_hh, given.weight_hh)
    assert set(found.configs) == {LLAMA.key, QWEN.key}
    states = found.configs[LLAMA.key]
    assert np.array_equal(states.mean_w, given.configs[LLAMA.key].mean_w)
    assert (states.evidence, states.figures) == ("fitted", {"energy_error": 0.01})
    assert list(saved.parent.iterdir()) == [saved]


def test_same_pack_same_bytes(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        save(small_pack(QWEN), tmp_path / name)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_damaged_and_foreign_files(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(PackError, match="no such pack"):
        load(tmp_path / "none.h5")
    text = tmp_path / "text.h5"
    text.write_text("not HDF5")
    with pytest.raises(PackError, match="not a pack"):
        load(text)
    cut = tmp_path / "cut.h5"
    cut.write_bytes(saved.read_bytes()[:3000])
    with pytest.raises(PackError, match="damaged"):
        load(cut)
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file.attrs["format"] = "something else"
    with pytest.raises(PackError, match="not a power pack"):
        load(tmp_path / "foreign.h5")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: f.attrs.__setitem__("format_version", 99), "format 99"),
        (lambda f: f.attrs.__setitem__("features", "busy"), "other features"),
        (lambda f: f.__delitem__("shared/bias_hh"), "damaged"),
        (lambda f: f["shared/weight_ih"].__setitem__((0, 0), np.nan), "not finite"),
        (lambda f: f.__delitem__("configs") or f.create_group("configs"), "no configuration"),
    ],
)
def test_inconsistent_packs(saved: Path, change, told: str) -> None:  # type: ignore[no-untyped-def]
    with h5py.File(saved, "a") as file:
        change(file)
    with pytest.raises(PackError, match=told):
        load(saved)


def test_finding_packs() -> None:
    assert find_pack(None, [LLAMA]).name == "gru-a100"
    with pytest.raises(PackError, match=r"no pack is called 'gru'.*gru-a100"):
        find_pack("gru", [LLAMA])
    with pytest.raises(PackError, match="no single pack"):
        find_pack(None, [LLAMA, CATALOGUE.replica_config("llama-3-8b", "h100-sxm-80gb", 1)])


def test_shipped_packs_are_sound() -> None:
    """Idle states lie at the boards' idle power, none far above their nameplate."""
    packs = shipped()
    assert set(packs) == {"gru-a100", "gru-h100", "gru-h200", "gru-b200"}
    for path in packs.values():
        assert path.stat().st_size < 500_000
        pack = load(path)
        rest = set(pack.configs) - set(pack.known)
        assert any_key(pack.known[0].split("/")[1]) in rest
        for key in rest:
            table = pack.configs[key]
            assert table.evidence == "extrapolated"
            assert 0.3 < table.mean_w[0] < 1.2 < table.mean_w[-1] < 6  # ratios, not watts
            assert table.figures["unseen_configurations"] >= 3
        for key in pack.known:
            states = pack.configs[key]
            model, gpu, parallel = key.split("/")
            card = CATALOGUE.gpus[gpu]
            count = int(parallel[2:])
            assert model in CATALOGUE.models
            assert (np.diff(states.mean_w) > 0).all()
            assert 0.7 < states.mean_w[0] / (count * card.ledger_power.idle_w) < 1.5
            # Short peaks of the A100 runs reach 538 W on boards of 400 W.
            assert states.mean_w[-1] < 1.35 * count * card.nameplate_w
            # Of some only levels of steady loads are known, and of an H200 nothing.
            guessed = states.source.startswith(("levels: ", "of the H100"))
            assert states.evidence == ("extrapolated" if guessed else "fitted")


@pytest.mark.parametrize(
    ("model", "short", "parallel"), [("llama-3-70b", "a100", 8), ("llama-3-8b", "h100", 1)]
)
def test_campaign_reproduces_the_published_distribution(
    model: str, short: str, parallel: int, data: Path
) -> None:
    """End to end: fresh traffic at the campaign's rates, through serving and the shipped pack,
    gives back the published mixture's level and spread."""
    gpu = {"a100": "a100-sxm-80gb", "h100": "h100-sxm-80gb"}[short]
    config = CATALOGUE.replica_config(model, gpu, parallel)
    mixture, _ = read_published(
        data / "published" / "state_distributions" / f"{model}_{short.upper()}_tp{parallel}.json"
    )
    mean_w = float(mixture.weight @ mixture.mean_w)
    spread_w = float(np.sqrt(mixture.weight @ (mixture.std_w**2 + (mixture.mean_w - mean_w) ** 2)))
    pack = GruPower(find_pack(f"gru-{short}", [config]), CATALOGUE)
    watts = np.concatenate(
        [
            generate(pack, series, 1)[:, 0]
            for series in campaign(config, CATALOGUE, seed=99, repeats=1)
        ]
    )
    assert watts.mean() == pytest.approx(mean_w, rel=0.05)
    assert watts.std() == pytest.approx(spread_w, rel=0.12)


def test_packs_know_every_published_configuration(data: Path) -> None:
    known = {key for path in shipped().values() for key in load(path).known}
    files = (data / "published" / "state_distributions").glob("*.json")
    assert {published_key(file.stem) for file in files} < known
    assert {"qwen3-8b/a100-sxm-80gb/tp1", "qwen3-8b/h100-sxm-80gb/tp1"} < known
    assert "qwen3-14b/a100-sxm-80gb/tp1" in known


def test_what_nobody_measured_is_the_linear_model_corrected() -> None:
    """Within ratios of the table, above rest, and said to be extrapolated, with an error band."""
    config = CATALOGUE.replica_config("qwen3-32b", "h100-sxm-80gb", 4)
    pack = find_pack(None, [config])
    with pytest.raises(PackError, match="has no states for qwen3-32b"):
        GruPower(pack, CATALOGUE).reset([config], 0.25, np.random.SeedSequence(1))
    model, prior = GruPower(pack, CATALOGUE, extrapolate=True), LinearLedger(CATALOGUE)
    for each in (model, prior):
        each.reset([config] * 500, 0.25, np.random.SeedSequence(1))
    assert model.provenance(config).evidence == "extrapolated"
    assert "on configurations left out the mean was off by" in model.provenance(config).source
    ratios = []
    for seed in range(20):
        work = ledger(500, seed=seed)
        ratios.append(model.step(work) / prior.step(work))
    found = np.concatenate(ratios)
    assert 0.6 < found.mean() < 1.7
    table = pack.configs["any/h100-sxm-80gb/tp1"]
    assert found.max() <= table.mean_w[-1] + 6 * table.std_w.max()


@pytest.mark.parametrize(
    ("model", "gpu", "parallel", "table", "unlike"),
    [
        ("gemma-3-12b", "a100-sxm-80gb", 1, "any", ""),
        ("qwen3-30b-a3b", "a100-sxm-80gb", 2, "any", "none of them is like qwen3-30b-a3b"),
        ("gpt-oss-20b", "a100-sxm-80gb", 8, "any-narrow-moe", ""),
        ("qwen3-30b-a3b", "h100-sxm-80gb", 8, "any-moe", ""),
        ("gpt-oss-20b", "h100-sxm-80gb", 8, "any-narrow-moe", ""),
    ],
)
def test_models_never_seen_are_answered_by_their_like(
    model: str, gpu: str, parallel: int, table: str, unlike: str
) -> None:
    """Experts of 16 bits draw as dense models do, narrower ones do not; where nobody measured a
    kind, the provenance says so."""
    config = CATALOGUE.replica_config(model, gpu, parallel)
    pack = find_pack(None, [config])
    power = GruPower(pack, CATALOGUE, extrapolate=True)
    told = power.provenance(config).source
    what, _, taught_by = pack.configs[f"{table}/{gpu}/tp1"].source.partition(" have in common: ")
    assert told.startswith(f"{what} have in common: ")
    named = [key for key in taught_by.split(", ") if key in told]
    more = len(taught_by.split(", ")) - len(named)
    assert len(named) >= 3 and (f" and {more} others" in told) == (more > 0)
    assert (unlike in told) if unlike else ("none of them is like" not in told)
