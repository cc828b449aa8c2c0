"""What the models cannot see: names that must exist, streams that someone must serve, weights
that must fit, files that must be there."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dcsim.hardware.catalogue import Catalogue
from dcsim.hardware.gpus import Gpu
from dcsim.hardware.kv import kv_capacity_blocks
from dcsim.hardware.models import ServedModel
from dcsim.scenario import raw
from dcsim.scenario.models import DiurnalArrivals, Engine, Record, Scenario, ServerGroup
from dcsim.scenario.start import DAY_S, DAYS, parse_start
from dcsim.spec.base import Spec
from dcsim.spec.document import Document, Steps
from dcsim.spec.nearest import suggestion
from dcsim.spec.time_of_day import time_of_day_s
from dcsim.spec.units import SECOND, parse_quantity

MOST_STEPS = 2_000_000_000
"""Of a run: a year in steps of 16 ms."""
MOST_WINDOW_STEPS = 20_000_000
"""Of a window: two months in steps of 250 ms, 160 MB a node."""


def check(document: Document, catalogue: Catalogue) -> None:
    """Add every problem with the workload, the servers and the clock. The facility has
    a file of its own."""
    unique(document, "workload")
    unique(document, "tenants")
    unique(document, "servers")
    for path, stream in raw.items(document, "workload"):
        _stream(document, path, stream, catalogue)
    for path, group in raw.items(document, "servers"):
        _group(document, path, group, catalogue)
    _pools(document)
    _routing(document)
    _clock(document)
    _start(document)


def unknown(document: Document, path: Steps, what: str, name: str, known: Iterable[str]) -> None:
    """Add the problem of a name that does not exist."""
    document.add(path, f"there is no {what} '{name}'", suggestion(name, known))


def unique(document: Document, key: str) -> None:
    """Add a problem for every name that an earlier item of the list has."""
    first: dict[str, Steps] = {}
    for path, item in raw.items(document, key):
        name = raw.text(item, "name")
        if name is None:
            continue
        if name in first:
            line = document.place((*first[name], "name")).line
            where = f"{key}.{first[name][1]}" + ("" if line is None else f", line {line}")
            document.add((*path, "name"), f"the name '{name}' is taken by {where}")
        first.setdefault(name, path)


# --- workload --------------------------------------------------------------------------------


def _stream(document: Document, path: Steps, stream: dict[str, Any], catalogue: Catalogue) -> None:
    model = raw.text(stream, "model")
    if model is not None:
        served = {raw.text(group, "model") for _, group in raw.items(document, "servers")}
        if model not in catalogue.models:
            unknown(document, (*path, "model"), "served model", model, catalogue.models)
        elif model not in served and all(name in catalogue.models for name in served):
            known = sorted(name for name in served if name is not None)
            document.add(
                (*path, "model"),
                f"no server group serves '{model}'",
                "the groups serve " + ", ".join(known) if known else "",
            )
    tenants = [raw.text(tenant, "name") or "" for _, tenant in raw.items(document, "tenants")]
    wanted = stream.get("tenants")
    for number, tenant in enumerate(wanted if isinstance(wanted, list) else []):
        if isinstance(tenant, str) and tenant not in tenants:
            unknown(document, (*path, "tenants", number), "tenant", tenant, tenants)
    _own_lengths(document, path, stream)
    for at, part in raw.recordings(path, stream):
        _recording(document, at, part)


def _own_lengths(document: Document, path: Steps, stream: dict[str, Any]) -> None:
    """A recording brings its lengths and what its prompts share; all else needs lengths."""
    kind = raw.text(raw.block(stream, "arrivals"), "kind")
    brought = {
        "tokens": "a replay brings its own token counts",
        "sessions": "a replay has the conversations that were recorded",
        "system_prompt": "a replay has the prompts that were recorded",
    }
    if kind == "replay":
        for key, message in brought.items():
            if stream.get(key) not in (None, 0):
                document.add((*path, key), message, f"leave `{key}` out")
    elif kind is not None and stream.get("tokens") is None:
        document.add(
            (*path, "tokens"),
            "required unless arrivals are a replay",
            "kind fit, fixed, lognormal, empirical or mixture",
        )


def _recording(document: Document, path: Steps, part: dict[str, Any]) -> None:
    """Files must be there, and what is shipped must have the name."""
    file, folder = raw.text(part, "file"), raw.text(part, "folder")
    if file is not None and "${" not in file and not Path(file).is_file():
        what = "trace file" if path[-1] == "arrivals" else "file"
        problem = "is a folder" if Path(file).is_dir() else "does not exist"
        document.add((*path, "file"), f"{what} {file} {problem}")
    if folder is not None and "${" not in folder and not Path(folder).is_dir():
        problem = "is no folder" if Path(folder).exists() else "does not exist"
        document.add((*path, "folder"), f"{folder} {problem}")
    name = raw.text(part, "name")
    for kind, what, where in (
        ("fit", "shipped fit", "workload/fits"),
        ("clients", "shipped population of clients", "workload/populations"),
    ):
        if raw.text(part, "kind") == kind and name is not None:
            known = shipped(where, ".yaml")
            if name not in known:
                unknown(document, (*path, "name"), what, name, known)


def shipped(folder: str, suffix: str) -> list[str]:
    """Names of the data files that travel with the package, such as fits and packs."""
    try:
        entries = list(resources.files("dcsim").joinpath(*folder.split("/")).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(entry.name[: -len(suffix)] for entry in entries if entry.name.endswith(suffix))


# --- servers ---------------------------------------------------------------------------------


def _group(document: Document, path: Steps, group: dict[str, Any], catalogue: Catalogue) -> None:
    server_name, model_name = raw.text(group, "server"), raw.text(group, "model")
    server = catalogue.servers.get(server_name or "")
    model = catalogue.models.get(model_name or "")
    if server_name is not None and server is None:
        unknown(document, (*path, "server"), "server type", server_name, catalogue.servers)
    if model_name is not None and model is None:
        unknown(document, (*path, "model"), "served model", model_name, catalogue.models)
    pack = raw.text(raw.block(group, "power"), "pack")
    if pack is not None:
        _pack(document, (*path, "power", "pack"), pack)
    size = _whole(group, "tensor_parallel", 0)
    stages = _whole(group, "pipeline_parallel", 1)
    _experts(document, path, group, model, size)
    if server is None or not size or not stages:
        return
    at = (*path, "tensor_parallel" if stages == 1 else "pipeline_parallel")
    gpu = catalogue.gpu(server.gpu)
    gpus = size * stages
    if gpus > server.gpu_count or server.gpu_count % gpus:
        sizes = [str(n) for n in range(1, server.gpu_count + 1) if server.gpu_count % n == 0]
        wanted = f"{size}" if stages == 1 else f"{size} x {stages} = {gpus}"
        document.add(
            at,
            f"{wanted} does not divide the {server.gpu_count} GPUs of {server.name}",
            "possible are " + ", ".join(sizes),
        )
        return
    if size not in gpu.timing.per_message_s:
        sizes = [str(known) for known in gpu.timing.per_message_s]
        message = f"the catalogue has no timing of {gpu.name} at tensor_parallel {size}"
        document.add((*path, "tensor_parallel"), message, "there is " + ", ".join(sizes))
    if model is not None and stages > model.n_layers:
        message = f"more stages than the {model.n_layers} layers of {model.name}"
        document.add((*path, "pipeline_parallel"), message)
    engine = _engine(group)
    if model is not None and engine is not None:
        _memory(document, path, engine, model, gpu, gpus, server.gpu_count)


def _engine(group: dict[str, Any]) -> Engine | None:
    """The group's engine, with defaults; None where the models complain."""
    try:
        return Engine.model_validate(group.get("engine", {}))
    except ValidationError:
        return None


def _whole(group: dict[str, Any], key: str, default: int) -> int:
    """A whole number of at least 1, or 0 where the models complain."""
    given = raw.number(group, key, default)
    return int(given) if given is not None and given >= 1 and not given % 1 else 0


def _experts(
    document: Document, path: Steps, group: dict[str, Any], model: ServedModel | None, size: int
) -> None:
    given = _whole(group, "expert_parallel", 1)
    if given < 2 or not size:
        return
    at = (*path, "expert_parallel")
    if model is not None and model.n_experts < 2:
        document.add(at, f"{model.name} has no experts", "leave it out")
    elif given != size:
        message = f"must be 1 or tensor_parallel ({size}): vLLM spreads experts over these GPUs"
        document.add(at, message)


def _pools(document: Document) -> None:
    """A model that is prefilled in one pool must be decoded in another, and the other way."""
    roles: dict[str, dict[str, Steps]] = {}
    default = ServerGroup.model_fields["role"].default
    for path, group in raw.items(document, "servers"):
        model, role = raw.text(group, "model"), group.get("role", default)
        if model is not None and isinstance(role, str):
            roles.setdefault(model, {}).setdefault(role, path)
    for model, pools in roles.items():
        for role, other in (("prefill", "decode"), ("decode", "prefill")):
            if role in pools and other not in pools:
                message = f"a {role} pool for '{model}', but no {other} pool"
                document.add((*pools[role], "role"), message, f"add a group with `role: {other}`")


def _memory(
    document: Document,
    path: Steps,
    engine: Engine,
    model: ServedModel,
    gpu: Gpu,
    size: int,
    gpus: int,
) -> None:
    """Weights must fit into the memory of `size` GPUs, with room for one request; `gpus` is what a
    server has."""
    usable = engine.gpu_memory_utilization * gpu.hbm_bytes
    if usable * size <= model.weight_bytes:
        fitting = [n for n in range(size + 1, gpus + 1) if gpus % n == 0]
        fitting = [n for n in fitting if usable * n > model.weight_bytes]
        document.add(
            (*path, "tensor_parallel"),
            f"the weights of {model.name} ({model.weight_bytes / 1e9:.1f} GB) do not fit into the "
            f"{usable * size / 1e9:.1f} GB that gpu_memory_utilization leaves on {size} GPU(s)",
            f"they fit from tensor_parallel {fitting[0]}" if fitting else "",
        )
        return
    blocks = engine.num_gpu_blocks_override
    tokens = engine.block_tokens * (
        blocks
        or kv_capacity_blocks(
            model, gpu.hbm_bytes, size, engine.gpu_memory_utilization, engine.block_tokens
        )
    )
    if engine.max_model_len > tokens:
        # vLLM refuses to start so, too: such a request could never be served.
        shorter = f"set max_model_len to {tokens // 1024 * 1024 or tokens} or less, or "
        document.add(
            (*path, "engine", "max_model_len"),
            f"a request of {engine.max_model_len} tokens does not fit into the KV cache, which has "
            f"room for {tokens} "
            + ("in num_gpu_blocks_override blocks" if blocks else "beside the weights"),
            shorter + ("raise num_gpu_blocks_override" if blocks else "raise tensor_parallel"),
        )


def _pack(document: Document, path: Steps, pack: str) -> None:
    if pack.endswith(".h5"):
        if "${" not in pack and not Path(pack).is_file():
            document.add(path, f"pack file {pack} does not exist")
        return
    packs = shipped("power/packs", ".h5")
    if pack not in packs:
        unknown(document, path, "shipped pack", pack, packs)


# --- clock -----------------------------------------------------------------------------------


def _start(document: Document) -> None:
    """Streams may not start at another time of day than the scenario."""
    try:
        start = parse_start(document.data["start"])
    except (KeyError, ValueError):  # not given, or reported by the models
        return
    for path, stream in raw.items(document, "workload"):
        arrivals = raw.block(stream, "arrivals")
        at, day = raw.text(arrivals, "start_at"), raw.text(arrivals, "start_day")
        remedy = "leave it out here: the stream then starts when the run does"
        if at is not None and not _short_day(arrivals):
            try:
                found = time_of_day_s(at)
                at_s = parse_quantity(at, SECOND.name, "") if found is None else float(found)
            except ValueError:
                continue
            if abs(at_s % DAY_S - start.time_of_day_s) > 1e-6:
                message = f"this stream starts at {at}, the run at {start.at(0.0)}, by `start`"
                document.add((*path, "arrivals", "start_at"), message, remedy)
        if day is not None and start.weekday not in (None, day) and day in DAYS:
            message = f"this stream starts on a {day}, the run on a {start.weekday}, by `start`"
            document.add((*path, "arrivals", "start_day"), message, remedy)


def _short_day(arrivals: dict[str, Any]) -> bool:
    """Whether the day of a stream has a length of its own."""
    try:
        return _seconds(arrivals, "period", DiurnalArrivals) != DAY_S
    except ValueError:  # reported by the models
        return True


def _seconds(block: dict[str, Any], key: str, model: type[Spec]) -> float:
    """What a block says, or the default of its model. Raises ValueError for what is no time."""
    if key in block:
        return parse_quantity(block[key], SECOND.name, "")
    default: float = model.model_fields[f"{key}_s"].default
    return default


def _clock(document: Document) -> None:
    record = raw.block(document.data, "record")
    try:
        duration_s = parse_quantity(document.data.get("duration"), SECOND.name, "")
        step_s = _seconds(document.data, "power_step", Scenario)
        server_step_s = _seconds(record, "server_step", Record)
    except ValueError:  # reported by the models
        return
    if 0 < duration_s < step_s:
        document.add(("duration",), "shorter than one power_step")
    if step_s > 0 and duration_s / step_s > MOST_STEPS:
        message = f"makes {duration_s / step_s:,.0f} power steps, and {MOST_STEPS:,} can be played"
        document.add(("duration",), message, "a shorter run, or a longer `power_step`")
    if step_s > 0:
        _windows(document, step_s)
    if step_s > 0 and server_step_s > 0:
        steps = server_step_s / step_s
        if round(steps) < 1 or abs(steps - round(steps)) > 1e-9 * steps:
            message = f"must be a whole multiple of power_step ({SECOND.format(step_s)})"
            document.add(("record", "server_step"), message)


def _windows(document: Document, step_s: float) -> None:
    """Loads are kept for as long as a window is."""
    for path, node in raw.items(document, "facility"):
        demand = node.get("demand")
        blocks = [
            ((*path, "demand", place), block)
            for place, block in enumerate(demand if isinstance(demand, list) else [])
        ]
        for at, block in [*blocks, ((*path, "ramp"), node.get("ramp"))]:
            if not isinstance(block, dict):
                continue
            try:
                window_s = parse_quantity(block.get("window"), SECOND.name, "")
            except ValueError:  # reported by the models
                continue
            if window_s / step_s > MOST_WINDOW_STEPS:
                message = f"spans {window_s / step_s:,.0f} power steps, and may span "
                document.add((*at, "window"), f"{message}{MOST_WINDOW_STEPS:,}")


# --- routing ---------------------------------------------------------------------------------


def _routing(document: Document) -> None:
    """Headroom is rating less load: without a rating above the servers there is none to see."""
    nodes = [node for _, node in raw.items(document, "facility")]
    rated = any(node.get("kind") != "server" and node.get("rating") is not None for node in nodes)
    policy = raw.text(raw.block(document.data, "routing"), "policy")
    if policy == "power-aware" and nodes and not rated:
        message = "no site, row or rack has a rating, so this policy would see no headroom"
        document.add(("routing", "policy"), message, "rate the rows, or the site")
