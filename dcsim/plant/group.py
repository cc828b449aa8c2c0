"""A server group with what the catalogue says of it: GPU, model, iteration times, KV blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from dcsim.hardware.catalogue import Catalogue
from dcsim.hardware.gpus import Gpu
from dcsim.hardware.kv import kv_capacity_blocks
from dcsim.hardware.models import ServedModel
from dcsim.hardware.replicas import replica_config
from dcsim.hardware.roofline import IterationModel
from dcsim.hardware.servers import ServerType
from dcsim.ledger import ReplicaConfig
from dcsim.scenario.models import Scenario, ServerGroup


@dataclass(frozen=True)
class ResolvedGroup:
    """A server group with what the catalogue says of it: all its servers are alike."""

    spec: ServerGroup
    server: ServerType
    gpu: Gpu
    model: ServedModel

    @classmethod
    def resolve(cls, spec: ServerGroup, catalogue: Catalogue) -> ResolvedGroup:
        """Look the group's names up.

        Raises
        ------
        CatalogueError
            If the catalogue lacks one of them.
        """
        server = catalogue.server(spec.server)
        return cls(spec, server, catalogue.gpu(server.gpu), catalogue.model(spec.model))

    @property
    def name(self) -> str:
        """As the scenario and its facility call it."""
        return self.spec.name

    @property
    def replicas_per_server(self) -> int:
        """As many as its GPUs hold."""
        return self.server.gpu_count // self.spec.replica_gpus

    @property
    def spare_gpus(self) -> int:
        """GPUs of a server that hold no replica."""
        return self.server.gpu_count % self.spec.replica_gpus

    @property
    def gpu_idle_w(self) -> float:
        """Watts of one GPU at rest."""
        return self.gpu.ledger_power.idle_w

    @property
    def base_w(self) -> float:
        """Watts of a server beside its replicas' GPUs: other parts, and GPUs without a replica."""
        return self.spare_gpus * self.gpu_idle_w + self.server.non_gpu_w

    @property
    def has_fitted_chassis(self) -> bool:
        """Whether other parts follow the GPUs' watts (`dcsim.power.chassis`), where they would be
        constant. A label is of the whole server: nothing follows the GPUs in it."""
        return self.server.chassis == "fitted" and self.spec.power.model != "label"

    @cached_property
    def config(self) -> ReplicaConfig:
        """What the power room must know of the group's replicas."""
        spec, server = self.spec, self.server
        count = self.replicas_per_server
        beside_w = server.non_gpu_w + self.spare_gpus * self.gpu_idle_w
        return replica_config(
            self.model,
            self.gpu,
            spec.tensor_parallel,
            pipeline_parallel=spec.pipeline_parallel,
            expert_parallel=spec.expert_parallel,
            kv_tokens=self.kv_tokens,
            label_w=(server.nameplate_w - beside_w) / count if count else None,
        )

    @cached_property
    def timing(self) -> IterationModel:
        """Iteration times of the group's replicas."""
        spec = self.spec
        return IterationModel(
            self.model,
            self.gpu,
            spec.tensor_parallel,
            spec.engine.max_num_seqs,
            spec.pipeline_parallel,
            spec.expert_parallel,
        )

    @cached_property
    def kv_blocks(self) -> int:
        """KV blocks of a replica: as the scenario says, or what memory holds beside weights."""
        spec, engine = self.spec, self.spec.engine
        return engine.num_gpu_blocks_override or kv_capacity_blocks(
            self.model,
            self.gpu.hbm_bytes,
            spec.replica_gpus,
            engine.gpu_memory_utilization,
            engine.block_tokens,
        )

    @property
    def kv_tokens(self) -> int:
        """Tokens whose keys and values a replica can hold."""
        return self.kv_blocks * self.spec.engine.block_tokens

    @property
    def idle_w(self) -> float:
        """Watts of a server with all GPUs at rest and constant other parts."""
        return self.server.non_gpu_w + self.server.gpu_count * self.gpu_idle_w

    def load_s(self, scenario: Scenario) -> float:
        """Seconds in which a server reads the weights of its replicas, one after the other, or
        what `restart.load` says."""
        restart = scenario.restart
        if restart.load_s is not None:
            return restart.load_s
        return self.replicas_per_server * self.model.weight_bytes / restart.load_bandwidth_bytes_s

    def hold_up_s(self) -> tuple[float, float]:
        """Seconds that a server's power supplies bridge without voltage, at 70 % of its nameplate
        and at all of it."""
        stated = self.spec.hold_up_s
        if stated is not None:
            return stated, stated
        return self.server.hold_up_s, self.server.hold_up_full_s
