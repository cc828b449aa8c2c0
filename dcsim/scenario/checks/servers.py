"""Server groups: they must exist, divide their GPUs, and hold their model."""

from __future__ import annotations

from collections.abc import Iterator

from dcsim.hardware.catalogue import Catalogue
from dcsim.hardware.gpus import Gpu
from dcsim.hardware.kv import kv_capacity_blocks
from dcsim.hardware.models import ServedModel
from dcsim.scenario.checks.parts import missing_file, numbered, shipped, unique, unknown
from dcsim.scenario.models import Scenario, ServerGroup
from dcsim.spec.document import Finding, Steps
from dcsim.spec.unread import readable


def names(scenario: Scenario, catalogue: Catalogue) -> Iterator[Finding]:
    """No two groups alike, and all that they name of the catalogue is there."""
    yield from unique("servers", scenario.servers)
    for path, group in numbered("servers", scenario.servers):
        if group.server not in catalogue.servers:
            yield unknown((*path, "server"), "server type", group.server, catalogue.servers)
        if group.model not in catalogue.models:
            yield unknown((*path, "model"), "served model", group.model, catalogue.models)
        yield from readable(_pack((*path, "power", "pack"), group))


def _pack(path: Steps, group: ServerGroup) -> Iterator[Finding]:
    pack = getattr(group.power, "pack", None)
    if pack is None:
        return
    if pack.endswith(".h5"):
        yield from missing_file(path, pack, "pack file")
    elif pack not in (packs := shipped("power/packs", ".h5")):
        yield unknown(path, "shipped pack", pack, packs)


def replicas(scenario: Scenario, catalogue: Catalogue) -> Iterator[Finding]:
    """A replica must divide the GPUs of its server, and its model must fit into them."""
    for path, group in numbered("servers", scenario.servers):
        yield from readable(_experts(path, group, catalogue.models.get(group.model)))
        yield from readable(_layout(path, group, catalogue))


def _layout(path: Steps, group: ServerGroup, catalogue: Catalogue) -> Iterator[Finding]:
    server, model = catalogue.servers.get(group.server), catalogue.models.get(group.model)
    if server is None:
        return
    size, stages = group.tensor_parallel, group.pipeline_parallel
    gpu, gpus = catalogue.gpu(server.gpu), size * stages
    if gpus > server.gpu_count or server.gpu_count % gpus:
        key = "tensor_parallel" if stages == 1 else "pipeline_parallel"
        sizes = [str(n) for n in range(1, server.gpu_count + 1) if server.gpu_count % n == 0]
        product = f"{size}" if stages == 1 else f"{size} x {stages} = {gpus}"
        message = f"{product} does not divide the {server.gpu_count} GPUs of {server.name}"
        yield Finding((*path, key), message, "possible are " + ", ".join(sizes))
        return
    if size not in gpu.timing.per_message_s:
        message = f"the catalogue has no timing of {gpu.name} at tensor_parallel {size}"
        known = ", ".join(map(str, gpu.timing.per_message_s))
        yield Finding((*path, "tensor_parallel"), message, f"there is {known}")
    if model is not None and stages > model.n_layers:
        message = f"more stages than the {model.n_layers} layers of {model.name}"
        yield Finding((*path, "pipeline_parallel"), message)
    if model is not None:
        yield from _memory(path, group, model, gpu, server.gpu_count)


def _experts(path: Steps, group: ServerGroup, model: ServedModel | None) -> Iterator[Finding]:
    at, size = (*path, "expert_parallel"), group.tensor_parallel
    if group.expert_parallel < 2:
        return
    if model is not None and model.n_experts < 2:
        yield Finding(at, f"{model.name} has no experts", "leave it out")
    elif group.expert_parallel != size:
        message = f"must be 1 or tensor_parallel ({size}): vLLM spreads experts over these GPUs"
        yield Finding(at, message)


def _memory(
    path: Steps, group: ServerGroup, model: ServedModel, gpu: Gpu, server_gpus: int
) -> Iterator[Finding]:
    """Weights must fit into the memory of a replica's GPUs, with room for one request."""
    engine, gpus = group.engine, group.replica_gpus
    usable = engine.gpu_memory_utilization * gpu.hbm_bytes
    if usable * gpus <= model.weight_bytes:
        larger = [n for n in range(gpus + 1, server_gpus + 1) if server_gpus % n == 0]
        fitting = [n for n in larger if usable * n > model.weight_bytes]
        yield Finding(
            (*path, "tensor_parallel"),
            f"the weights of {model.name} ({model.weight_bytes / 1e9:.1f} GB) do not fit into the "
            f"{usable * gpus / 1e9:.1f} GB that gpu_memory_utilization leaves on {gpus} GPU(s)",
            f"they fit from tensor_parallel {fitting[0]}" if fitting else "",
        )
        return
    blocks = engine.num_gpu_blocks_override
    tokens = engine.block_tokens * (
        blocks
        or kv_capacity_blocks(
            model, gpu.hbm_bytes, gpus, engine.gpu_memory_utilization, engine.block_tokens
        )
    )
    if engine.max_model_len > tokens:
        # vLLM refuses to start so, too: such a request could never be served.
        shorter = f"set max_model_len to {tokens // 1024 * 1024 or tokens} or less, or "
        yield Finding(
            (*path, "engine", "max_model_len"),
            f"a request of {engine.max_model_len} tokens does not fit into the KV cache, which has "
            f"room for {tokens} "
            + ("in num_gpu_blocks_override blocks" if blocks else "beside the weights"),
            shorter + ("raise num_gpu_blocks_override" if blocks else "raise tensor_parallel"),
        )


def pools(scenario: Scenario, _: Catalogue) -> Iterator[Finding]:
    """A model that is prefilled in one pool must be decoded in another, and the other way."""
    roles: dict[str, dict[str, Steps]] = {}
    for path, group in numbered("servers", scenario.servers):
        roles.setdefault(group.model, {}).setdefault(group.role, path)
    for model, paths in roles.items():
        for role, other in (("prefill", "decode"), ("decode", "prefill")):
            if role in paths and other not in paths:
                message = f"a {role} pool for '{model}', but no {other} pool"
                yield Finding((*paths[role], "role"), message, f"add a group with `role: {other}`")


def routing(scenario: Scenario, _: Catalogue) -> Iterator[Finding]:
    """Headroom is rating less load: without a rating above the servers there is none to see."""
    if scenario.routing.policy != "power-aware":
        return
    if all(node.kind == "server" or node.rating_w is None for node in scenario.facility):
        message = "no site, row or rack has a rating, so this policy would see no headroom"
        yield Finding(("routing", "policy"), message, "rate the rows, or the site")


RULES = (names, replicas, pools, routing)
