"""Packs: trained GRUs with their state tables, as plain HDF5 arrays and attributes.

Loading reads numbers and text and never runs code. One pack serves every configuration that has
a table in it: the recurrent weights are shared, the states and the head that chooses among them
belong to a configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from dcsim.arrays import Float32Array
from dcsim.errors import PackError
from dcsim.files import atomic_path
from dcsim.hardware.models import ServedModel
from dcsim.ledger import ReplicaConfig, split_key
from dcsim.power.features import FEATURES
from dcsim.power.model import Evidence
from dcsim.spec.nearest import nearest_few

FORMAT = "dcsim-power-pack"
FORMAT_VERSION = 2
"""2: slow noise. Packs of format 1 are read, and have none."""


ModelKind = Literal["dense", "experts", "narrow-experts"]
ANY: dict[ModelKind, str] = {
    "dense": "any",
    "experts": "any-moe",
    "narrow-experts": "any-narrow-moe",
}
FALLBACK_KINDS: dict[ModelKind, tuple[ModelKind, ...]] = {
    "dense": (),
    "experts": ("dense",),
    "narrow-experts": ("experts", "dense"),
}
"""Whose table answers where a kind has none. What sets models apart in ML.ENERGY's steady loads is
not the experts but their numbers: at batches of 8 to 15 the measured watts are 1.42 times the
linear model's (median, H100; B200 1.19) where experts have 4 or 8 bits, 0.94 (0.91) where they
have 16, and 1.00 (1.03) for dense models."""


def any_key(gpu: str, kind: ModelKind = "dense") -> str:
    """The table for configurations of a kind that a pack never saw; its states are ratios to the
    watts of the linear ledger model at the same moment."""
    return f"{ANY[kind]}/{gpu}/tp1"


def model_kind(model: ServedModel) -> ModelKind:
    """Which configurations are like a model's in what the linear ledger model misses of them."""
    if model.n_experts == 1:
        return "dense"
    return "narrow-experts" if model.quantised else "experts"


@dataclass(frozen=True)
class States:
    """One configuration: its states, the head that weighs them, and how noise persists."""

    mean_w: Float32Array
    """(K,), rising: watts of all GPUs of a replica; in the table `any`, ratios to the linear ledger
    model."""
    std_w: Float32Array
    head_weight: Float32Array
    """(K, hidden)."""
    head_bias: Float32Array
    """(K,)."""
    state_correlation: float
    """Lag-one correlation, per 250 ms, of the normal variate that chooses the state."""
    noise_correlation: float
    """Lag-one correlation, per 250 ms, of the normal variate within a state."""
    evidence: Evidence
    source: str
    figures: dict[str, float] = field(default_factory=dict)
    """Fit figures, such as held-out energy error."""
    slow_share: float = 0.0
    """Of the variance of both variates: the share that drifts, the same in both."""
    slow_correlation: float = 0.0
    """Lag-one correlation, per 250 ms, of what drifts."""


@dataclass(frozen=True)
class Pack:
    """A shared GRU (PyTorch's gate order: reset, update, new) and its configurations."""

    name: str
    step_s: float
    """Length of the steps that it was trained on."""
    feature_mean: Float32Array
    feature_std: Float32Array
    weight_ih: Float32Array
    weight_hh: Float32Array
    bias_ih: Float32Array
    bias_hh: Float32Array
    configs: dict[str, States]
    """By `ReplicaConfig.key`."""
    notes: str = ""

    @property
    def hidden(self) -> int:
        return int(self.weight_hh.shape[1])

    @property
    def known(self) -> list[str]:
        """Configurations with a table of their own."""
        return [key for key in self.configs if split_key(key)[0] not in ANY.values()]

    def without(self, key: str) -> Pack:
        """The pack without the table of one configuration, for judging what it says unseen."""
        kept = {name: states for name, states in self.configs.items() if name != key}
        return replace(self, name=f"{self.name} without {key}", configs=kept)

    def refusal(self, config: ReplicaConfig, step_s: float, extrapolate: bool) -> str | None:
        """Why this pack cannot step such a replica, or None where it can."""
        if abs(step_s - self.step_s) > 1e-9:
            return f"pack {self.name} steps every {self.step_s * 1e3:g} ms; set power_step to that"
        same_gpu = any(split_key(key)[1] == config.gpu for key in self.configs)
        if config.key in self.configs or (extrapolate and same_gpu):
            return None
        return (
            f"pack {self.name} has no states for {config.key}; it has "
            f"{nearest_few(config.key, self.known)} (`dcsim power list` has all). "
            "Choose one of those, `model: ledger`, or `extrapolate: true` to borrow from others"
        )


_SHARED = ("feature_mean", "feature_std", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
_NOISE = ("state_correlation", "noise_correlation", "slow_share", "slow_correlation")
_TABLE = ("mean_w", "std_w", "head_weight", "head_bias")


def save(pack: Pack, path: Path) -> None:
    """Write a pack; an existing file is replaced at the end."""
    import h5py

    with atomic_path(path) as part, h5py.File(part, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["name"] = pack.name
        file.attrs["step_s"] = pack.step_s
        file.attrs["features"] = ",".join(FEATURES)
        file.attrs["notes"] = pack.notes
        for name in _SHARED:
            file.create_dataset(f"shared/{name}", data=getattr(pack, name))
        for key, states in pack.configs.items():
            # Keys hold slashes, which HDF5 would take for groups.
            group = file.create_group("configs/" + key.replace("/", "|"))
            for name in _TABLE:
                group.create_dataset(name, data=getattr(states, name))
            for name in (*_NOISE, "evidence", "source"):
                group.attrs[name] = getattr(states, name)
            for figure, value in states.figures.items():
                group.attrs[f"figure:{figure}"] = value


def load(path: Path) -> Pack:
    """Read a pack. Raises PackError for a file that is missing, damaged, foreign, of a later
    format, or inconsistent."""
    import h5py

    if not path.is_file():
        raise PackError(f"{path}: no such pack")
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path)
    except PackError:
        raise
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise PackError(f"{path}: not a pack, or damaged ({error})") from error


def _read(file, path: Path) -> Pack:  # type: ignore[no-untyped-def]  # an open h5py.File
    if file.attrs.get("format") != FORMAT:
        raise PackError(f"{path}: an HDF5 file, but not a power pack of dcsim")
    version = int(file.attrs["format_version"])
    if version > FORMAT_VERSION:
        raise PackError(f"{path}: pack format {version}; this dcsim reads up to {FORMAT_VERSION}")
    if file.attrs["features"] != ",".join(FEATURES):
        raise PackError(
            f"{path}: made for other features ({file.attrs['features']}); train it anew"
        )
    shared = {name: _array(file[f"shared/{name}"], path) for name in _SHARED}
    configs = {}
    for name, group in file["configs"].items():
        evidence = str(group.attrs["evidence"])
        if evidence not in get_args(Evidence):
            raise PackError(f"{path}: {name}: unknown evidence {evidence!r}")
        configs[name.replace("|", "/")] = States(
            mean_w=_array(group["mean_w"], path),
            std_w=_array(group["std_w"], path),
            head_weight=_array(group["head_weight"], path),
            head_bias=_array(group["head_bias"], path),
            state_correlation=float(group.attrs["state_correlation"]),
            noise_correlation=float(group.attrs["noise_correlation"]),
            slow_share=float(group.attrs.get("slow_share", 0.0)),
            slow_correlation=float(group.attrs.get("slow_correlation", 0.0)),
            evidence=evidence,  # type: ignore[arg-type]  # checked above
            source=str(group.attrs["source"]),
            figures={
                key.removeprefix("figure:"): float(value)
                for key, value in group.attrs.items()
                if key.startswith("figure:")
            },
        )
    pack = Pack(
        name=str(file.attrs["name"]),
        step_s=float(file.attrs["step_s"]),
        configs=configs,
        notes=str(file.attrs["notes"]),
        **shared,
    )
    _check(pack, path)
    return pack


def _array(dataset, path: Path) -> Float32Array:  # type: ignore[no-untyped-def]  # an h5py.Dataset
    values = np.asarray(dataset[()], dtype=np.float32)
    if not np.isfinite(values).all():
        raise PackError(f"{path}: {dataset.name} holds numbers that are not finite")
    return values


def _check(pack: Pack, path: Path) -> None:
    """Shapes must fit together, so that a step cannot fail half-way through a run."""
    inputs, hidden = len(FEATURES), pack.hidden
    shapes = {
        "feature_mean": (inputs,),
        "feature_std": (inputs,),
        "weight_ih": (3 * hidden, inputs),
        "weight_hh": (3 * hidden, hidden),
        "bias_ih": (3 * hidden,),
        "bias_hh": (3 * hidden,),
    }
    for name, shape in shapes.items():
        if getattr(pack, name).shape != shape:
            raise PackError(f"{path}: {name} has shape {getattr(pack, name).shape}, not {shape}")
    if not pack.configs:
        raise PackError(f"{path}: holds no configuration")
    for key, states in pack.configs.items():
        count = len(states.mean_w)
        if (
            states.std_w.shape != (count,)
            or states.head_weight.shape != (count, hidden)
            or states.head_bias.shape != (count,)
        ):
            raise PackError(f"{path}: the tables of {key} do not fit together")
        if any(not 0.0 <= getattr(states, name) < 1.0 for name in _NOISE):
            raise PackError(f"{path}: {key}: {', '.join(_NOISE)} must be in [0, 1)")
        if (states.std_w < 0).any() or (states.mean_w <= 0).any():
            raise PackError(f"{path}: {key} has states without positive watts")


def shipped() -> dict[str, Path]:
    """Paths of the packs that travel with dcsim, by name."""
    folder = resources.files("dcsim.power") / "packs"
    return {
        Path(str(file)).stem: Path(str(file))
        for file in sorted(folder.iterdir(), key=lambda f: f.name)
        if file.name.endswith(".h5")
    }


def find_pack(named: str | None, configs: Sequence[ReplicaConfig]) -> Pack:
    """The pack of that name or path; None picks the shipped pack of the configurations' GPU.

    Raises PackError when there is none.
    """
    packs = shipped()
    if named is not None:
        if named in packs:
            return load(packs[named])
        if not named.endswith(".h5"):
            raise PackError(
                f"no pack is called {named!r}; shipped are {', '.join(packs)}; a pack of your own"
                " is named by its path, ending in .h5"
            )
        return load(Path(named))
    gpus = sorted({config.gpu for config in configs})
    if len(gpus) > 1:
        raise PackError(f"no single pack serves {' and '.join(gpus)}; name one in `power.pack`")
    name = f"gru-{gpus[0].split('-')[0]}"
    if name not in packs:
        raise PackError(f"no pack is shipped for {gpus[0]}; shipped are {', '.join(packs)}")
    return load(packs[name])
