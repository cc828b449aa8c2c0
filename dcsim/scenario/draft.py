"""A first scenario, with a comment at every choice: what `dcsim new` writes.

A draft is text, not a dumped model: a planner reads and edits it, so it shows few keys and says
why each is there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from dcsim.errors import DcsimError
from dcsim.hardware.catalogue import Catalogue
from dcsim.hardware.kv import kv_capacity_tokens
from dcsim.hardware.models import ServedModel
from dcsim.hardware.servers import ServerType
from dcsim.scenario.models import Engine
from dcsim.spec.nearest import suggestion

TOKEN_FITS = ("azure-2023-conv", "azure-2023-code", "sharegpt")
RACK_MARGIN = 1.0
"""A rack's rating over the nameplate of its servers: circuits are laid for the nameplate."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ./+-]*")
"""Texts that YAML reads as they stand, given that a unit or a letter is in them."""


class DraftError(DcsimError, ValueError):
    """An answer of which no draft can be made; `flag` is its option."""

    def __init__(self, flag: str, message: str) -> None:
        super().__init__(f"--{flag}: {message}")
        self.flag = flag


@dataclass(frozen=True, slots=True)
class DraftAnswers:
    """What the user answered. Quantities are text, as they will stand in the file."""

    name: str = "my-row"
    gpu: str = "h100"
    """A GPU of the catalogue or the start of its name, or a server type."""
    model: str = "llama-3-70b"
    tensor_parallel: int | None = None
    """None: the fewest GPUs that hold the model with room for its KV cache."""
    racks: int = 10
    servers_per_rack: int = 4
    row_limit: str | None = "600 kW"
    """None: unknown, and never checked."""
    rate: str = "1 req/s"
    rate_why: str = "of all clients together"
    """What the file says of it."""
    tokens: str = "azure-2023-conv"
    """A shipped fit, or PROMPT:OUTPUT."""
    duration: str = "1 h"
    breaker: str | None = "thermal-magnetic"
    power_model: str = "gru"
    extrapolate: bool = False


def server_for(gpu: str, catalogue: Catalogue) -> ServerType:
    """The server type that a GPU's name, the start of it, or its own name means. Raises
    DraftError."""
    if gpu in catalogue.servers:
        return catalogue.servers[gpu]
    name = gpu.lower()
    for server in catalogue.servers.values():
        if server.gpu == name or server.gpu.split("-")[0] == name:
            return server
    known = [server.gpu.split("-")[0] for server in catalogue.servers.values()]
    hint = suggestion(gpu, [*known, *catalogue.servers]) or "there is " + ", ".join(known)
    raise DraftError("gpu", f"no server has a GPU '{gpu}'; {hint}")


def parallel_for(model: ServedModel, server: ServerType, catalogue: Catalogue) -> int:
    """Fewest GPUs of a server, a power of two, whose memory is at least 1.6 times the weights,
    so that more than a third of it is left for the KV cache; or all of them. Either must hold a
    request of the engine's default length. Raises DraftError."""
    hbm_bytes = catalogue.gpus[server.gpu].hbm_bytes
    sizes = [1]
    while 2 * sizes[-1] <= server.gpu_count:
        sizes.append(2 * sizes[-1])
    for size in [*sizes, server.gpu_count]:
        roomy = size == server.gpu_count or size * hbm_bytes >= 1.6 * model.weight_bytes
        if roomy and kv_capacity_tokens(model, hbm_bytes, size) >= Engine().max_model_len:
            return size
    raise DraftError(
        "model",
        f"{model.name} ({model.weight_bytes / 1e9:.0f} GB) does not fit into one {server.name}",
    )


def sizes_for(model: ServedModel, server: ServerType, catalogue: Catalogue) -> list[int]:
    """Tensor parallel sizes, powers of two up to the server's GPUs, from the least that
    `parallel_for` gives. Raises DraftError where the model does not fit."""
    size = parallel_for(model, server, catalogue)
    sizes = []
    while size <= server.gpu_count:
        sizes.append(size)
        size *= 2
    return sizes


def model_for(name: str, catalogue: Catalogue) -> ServedModel:
    """A served model by name. Raises DraftError."""
    if name not in catalogue.models:
        hint = suggestion(name, catalogue.models)
        raise DraftError("model", f"no model '{name}' in the catalogue; {hint}")
    return catalogue.models[name]


def draft(answers: DraftAnswers, catalogue: Catalogue) -> str:
    """The text of a scenario file. Raises DraftError for an answer that no file could
    state; quantities are left to the loader to judge."""
    server = server_for(answers.gpu, catalogue)
    model = model_for(answers.model, catalogue)
    parallel = answers.tensor_parallel or parallel_for(model, server, catalogue)
    servers = answers.racks * answers.servers_per_rack
    rack_w = answers.servers_per_rack * server.nameplate_w * RACK_MARGIN
    rate = _scalar(answers.rate)
    group, nameplate = server.gpu.split("-")[0], _watts(server.nameplate_w)
    replicas = server.gpu_count // parallel
    limit = _scalar(answers.row_limit) if answers.row_limit else None
    if not NAME.fullmatch(answers.name):
        raise DraftError("name", f"'{answers.name}' is not a name: letters, digits, '.', '_', '-'")
    rating = f"    rating: {_padded(limit, 16)}" if limit else "    # rating: 600 kW         "
    why = "the row's feed" if limit else "unknown, so nothing is checked: put the feed's here"
    breaker = ""
    if answers.breaker and limit:
        breaker = (
            "    breaker:                # above the rating it trips, the sooner the more it is\n"
            f"      curve: {_scalar(answers.breaker)}\n"
        )
    return f"""\
# {answers.name}: {servers} servers in {answers.racks} racks, written by `dcsim new`.
#
#     dcsim validate FILE      is it right?
#     dcsim run FILE           play it
#     dcsim explain KEY        what a key means, such as `dcsim explain servers.engine`
#
# Every quantity brings its unit. Lines that begin with # are yours to change or to throw away.

name: {answers.name}
seed: 1                     # the same file and seed give the same bytes
duration: {_padded(_scalar(answers.duration))}# simulated time

# --- who asks ------------------------------------------------------------------------------
workload:
  - name: requests
    model: {model.name}
    arrivals:
      kind: poisson         # memoryless; `dcsim explain arrivals` lists the others
      rate: {_padded(rate, 16)}# {answers.rate_why}
{_tokens(answers.tokens)}
# --- who answers ---------------------------------------------------------------------------
servers:
  - name: {group}
    server: {_padded(server.name, 16)}# {server.gpu_count} GPUs, {nameplate} nameplate
    model: {model.name}
    tensor_parallel: {parallel}      # {_replicas(replicas)}
{_power(answers)}
# --- what it hangs from --------------------------------------------------------------------
# `count` copies stand under each copy of `parent`. A rating is a continuous limit; where there is
# none, nothing is checked.
facility:
  - {{name: site, kind: site}}
  - name: row
    kind: row
    parent: site
{rating}# {why}
{breaker}  - name: rack
    kind: rack
    parent: row
    count: {answers.racks}
    rating: {_padded(_watts(rack_w), 16)}# the nameplate of its servers
  - name: server
    kind: server
    parent: rack
    count: {answers.servers_per_rack}
    group: {group}
"""


def _scalar(text: str) -> str:
    """YAML for a text: bare where that is safe."""
    return text if PLAIN.fullmatch(text) else json.dumps(text)


def _padded(text: str, width: int = 18) -> str:
    return text.ljust(width) if len(text) < width else text + " "


def _replicas(count: int) -> str:
    return "one replica a server" if count == 1 else f"{count} replicas a server"


def _watts(watts: float) -> str:
    return f"{watts / 1e3:g} kW"


def _tokens(tokens: str) -> str:
    if tokens in TOKEN_FITS:
        return f"    tokens: {{kind: fit, name: {tokens}}}   # lengths as measured in production\n"
    prompt, colon, output = tokens.partition(":")
    if not colon or not prompt.strip().isdigit() or not output.strip().isdigit():
        raise DraftError(
            "tokens",
            f"'{tokens}' is none of {', '.join(TOKEN_FITS)} and no PROMPT:OUTPUT such as 1000:250",
        )
    return (
        "    tokens:                 # every request alike\n"
        f"      {{kind: fixed, prompt: {int(prompt)}, output: {int(output)}}}\n"
    )


def _power(answers: DraftAnswers) -> str:
    if answers.power_model != "gru":
        return (
            "    power:                  # the learned model knows no such servers\n"
            f"      model: {answers.power_model}\n"
        )
    if answers.extrapolate:
        return (
            "    power:                  # nobody measured this configuration: watts are\n"
            "      extrapolate: true     # extrapolated, and say so\n"
        )
    return ""
