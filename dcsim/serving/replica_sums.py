"""How busy a site's replicas are: sums over the power steps, and rows for the summary."""

# not compiled: it acts once a power step
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from dcsim.arrays import BoolArray, RecordArray
from dcsim.ledger import GpuState, WorkLedger
from dcsim.plant import Plant, ResolvedGroup
from dcsim.serving.capacity import Capacity
from dcsim.serving.site_capacity import Lengths, estimator, finite, lengths, mix, pooled, target_of

COUNTED = ("running", "waiting", "kv_fraction", "busy_fraction", "prefill_tokens", "decode_tokens")


class ReplicaSums:
    """Adds up what replicas do. Steps and requests before `count_from_s` are left out."""

    def __init__(self, plant: Plant, count_from_s: float = 0.0) -> None:
        scenario = self._scenario = plant.scenario
        self._from_s = count_from_s
        self._groups = plant.groups
        self._group = plant.replicas.group
        self._server = plant.replicas.server
        count = len(self._group)
        self._steps = 0
        self._sums = np.zeros((len(COUNTED), count))
        self._on = np.zeros(count)
        """Steps that each replica was on."""
        self._kv_max = np.zeros(count)
        widths = [group.spec.engine.max_num_seqs + 1 for group in self._groups]
        edges = np.concatenate([[0], np.cumsum(widths)])
        self._edges = edges
        self._offset = edges[self._group]
        self._histogram = np.zeros(int(edges[-1]), dtype=np.int64)
        """Replica-steps by group and number of requests running."""
        self._models = list(dict.fromkeys(stream.model for stream in scenario.workload))
        self._model_of_stream = np.array(
            [self._models.index(stream.model) for stream in scenario.workload], dtype=np.int64
        )
        self._offered = np.zeros(count, dtype=np.int64)
        self._routed = np.zeros(len(self._models), dtype=np.int64)
        """Requests of each model that some replica took."""
        self._by_model = np.zeros((3, len(self._models)))
        """Requests, prompt tokens and cached ones of each served model."""

    def step(self, now_s: float, ledger: WorkLedger) -> None:
        """Take a power step in."""
        if now_s <= self._from_s:
            return
        self._steps += 1
        for row, name in enumerate(COUNTED):
            self._sums[row] += getattr(ledger, name)
        np.maximum(self._kv_max, ledger.kv_fraction, out=self._kv_max)
        state = ledger.state
        places = self._offset + ledger.running.astype(np.int64)
        if state.min() > GpuState.OFF and state.max() < GpuState.BOOTING:
            self._on += 1.0
        else:
            on = (state > GpuState.OFF) & (state < GpuState.BOOTING)
            self._on += on
            places = places[on]
        self._histogram += np.bincount(places, minlength=len(self._histogram))

    def requests(self, records: RecordArray) -> None:
        """Take requests in that have left, or are still here at the end."""
        rows = records[records["arrival_s"] >= self._from_s]
        replica = rows["replica"]
        self._offered += np.bincount(replica[replica >= 0], minlength=len(self._offered))
        model = self._model_of_stream[rows["stream"]]
        size = self._by_model.shape[1]
        self._by_model[0] += np.bincount(model, minlength=size)
        self._by_model[1] += np.bincount(model, rows["prompt_tokens"], size)
        self._by_model[2] += np.bincount(model, rows["cached_tokens"], size)
        self._routed += np.bincount(model[replica >= 0], minlength=size)

    # --- rows ------------------------------------------------------------------------------

    def rows(self, end_s: float) -> list[dict[str, Any]]:
        """One for each server group, and the whole site's last, whose `group` is None. What is
        unknown, such as the capacity for requests that never came, is None."""
        counted_s = end_s - self._from_s
        sample = lengths(self._scenario)
        rows = []
        for index, group in enumerate(self._groups):
            capacity = self._capacity(group, index, sample)
            rows.append(self._row(index, group, capacity, counted_s))
        return [*rows, self._site(rows, counted_s)]

    def capacity_per_s(self) -> float | None:
        """Requests/s that the whole site can serve within the SLO, before any has come. Of several
        models those at which the share of capacity is 1, weighted by GPUs as in `rows`, in the mix
        of the first requests. None where nobody asks for any, or one cannot be served."""
        sample = lengths(self._scenario)
        counts = np.bincount(self._group, minlength=len(self._groups)).tolist()
        gpus = {group.model.name: 0 for group in self._groups}
        by_model: dict[str, list[tuple[ResolvedGroup, float]]] = {}
        for index, (group, count) in enumerate(zip(self._groups, counts, strict=True)):
            gpus[group.model.name] += count * group.spec.replica_gpus
            capacity = self._capacity(group, index, sample)
            if capacity is not None:
                per_s = capacity.requests_per_s * count
                by_model.setdefault(group.model.name, []).append((group, per_s))
        whole = {model: pooled(groups) for model, groups in by_model.items()}
        shares = mix(self._scenario)
        if not shares or not all(whole.get(model) for model in shares):
            return None
        busy = sum(gpus[model] * share / whole[model] for model, share in shares.items())
        return sum(gpus.values()) / busy

    def _capacity(
        self, group: ResolvedGroup, index: int, sample: dict[str, Lengths]
    ) -> Capacity | None:
        if group.model.name not in sample:
            return None
        model = self._models.index(group.model.name)
        _, prompt, cached = self._by_model[:, model]
        count = int((self._group == index).sum())
        return estimator(
            self._scenario,
            group,
            sample[group.model.name],
            count,
            float(cached / prompt) if prompt else 0.0,
        ).capacity()

    def _row(
        self, index: int, group: ResolvedGroup, capacity: Capacity | None, counted_s: float
    ) -> dict[str, Any]:
        mine = self._group == index
        count = int(mine.sum())
        row = self._figures([index], mine, counted_s)
        seqs = group.spec.engine.max_num_seqs
        running = row["running_mean"]
        rate = self._rate(index, group, counted_s)
        target = target_of(self._scenario, group.model.name)
        per_s = None if capacity is None else capacity.requests_per_s
        share = rate / (per_s * count) if rate is not None and per_s else None
        return {
            "group": group.name,
            "model": group.model.name,
            "replicas": count,
            "max_num_seqs": seqs,
            **row,
            "batch_share": None if running is None else running / seqs,
            "requests_per_s": rate,
            "capacity_per_s": None if per_s is None else per_s * count,
            "capacity_per_s_replica": per_s,
            "capacity_binds": None if capacity is None else capacity.binds,
            "share_of_capacity": 0.0 if rate == 0.0 else share,
            "slo": {name: finite(value) for name, value in asdict(target).items()},
        }

    def _rate(self, index: int, group: ResolvedGroup, counted_s: float) -> float | None:
        """Requests/s that came to a group, and its part of those that no replica took. Where
        others decode what it prefills, they bear the requests; its part is that of the prompt
        tokens."""
        if counted_s <= 0.0:
            return None
        mine = self._group == index
        if group.spec.role != "prefill":
            offered = float(self._offered[mine].sum())
            if offered:
                model = self._models.index(group.model.name)
                offered *= float(self._by_model[0, model]) / float(self._routed[model])
            return offered / counted_s
        pool = [
            i
            for i, other in enumerate(self._groups)
            if other.model.name == group.model.name and other.spec.role == "prefill"
        ]
        prompts = self._sums[COUNTED.index("prefill_tokens")]
        whole = float(prompts[np.isin(self._group, pool)].sum())
        if group.model.name not in self._models or not whole:
            return 0.0
        requests = float(self._by_model[0, self._models.index(group.model.name)])
        return requests * float(prompts[mine].sum()) / whole / counted_s

    def _figures(self, groups: Sequence[int], mine: BoolArray, counted_s: float) -> dict[str, Any]:
        """Of some replicas: means over those that were on, while they were."""
        on = float(self._on[mine].sum())
        running, waiting, kv, busy, prompts, outputs = self._sums[:, mine].sum(axis=1).tolist()
        servers = len(np.unique(self._server[mine]))
        per_server = servers * counted_s
        return {
            "servers": servers,
            "on_share": on / (self._steps * int(mine.sum())) if self._steps else None,
            "running_mean": running / on if on else None,
            "running_p95": self._running_p95(groups),
            "waiting_mean": waiting / on if on else None,
            "kv_mean": kv / on if on else None,
            "kv_max": float(self._kv_max[mine].max()) if on else None,
            "idle_share": max(0.0, 1.0 - busy / on) if on else None,
            "prompt_tokens_per_s_server": prompts / per_server if self._steps else None,
            "decode_tokens_per_s_server": outputs / per_server if self._steps else None,
        }

    def _running_p95(self, groups: Sequence[int]) -> int | None:
        parts = [self._histogram[self._edges[i] : self._edges[i + 1]] for i in groups]
        counts = np.zeros(max(len(part) for part in parts), dtype=np.int64)
        for part in parts:
            counts[: len(part)] += part
        total = int(counts.sum())
        return int(np.searchsorted(counts.cumsum(), 0.95 * total)) if total else None

    def _site(self, rows: Sequence[dict[str, Any]], counted_s: float) -> dict[str, Any]:
        """All replicas together. Its share of capacity is the groups', weighted by their GPUs;
        where they serve one model, it has a capacity too."""
        every = np.ones(len(self._group), dtype=np.bool_)
        figures = self._figures(range(len(self._groups)), every, counted_s)
        gpus = [
            row["replicas"] * group.spec.replica_gpus
            for row, group in zip(rows, self._groups, strict=True)
        ]
        shares = [row["share_of_capacity"] for row in rows]
        share = None
        if None not in shares:
            share = sum(s * n for s, n in zip(shares, gpus, strict=True)) / sum(gpus)
        models = {row["model"] for row in rows}
        per_s = [row["capacity_per_s"] for row in rows]
        capacity = None
        if len(models) == 1 and None not in per_s:
            capacity = pooled(zip(self._groups, per_s, strict=True))
        requests = float(self._by_model[0].sum())
        return {
            "group": None,
            "model": models.pop() if len(models) == 1 else None,
            "replicas": len(self._group),
            "max_num_seqs": None,
            **figures,
            "batch_share": _weighted([row["batch_share"] for row in rows], gpus),
            "requests_per_s": requests / counted_s if counted_s > 0.0 else None,
            "capacity_per_s": capacity,
            "capacity_per_s_replica": None,
            "capacity_binds": rows[0]["capacity_binds"] if len(rows) == 1 else None,
            "share_of_capacity": share,
            "slo": rows[0]["slo"] if len(rows) == 1 else None,
        }


def _weighted(values: Sequence[float | None], weights: Sequence[int]) -> float | None:
    if None in values:
        return None
    return sum((v or 0.0) * w for v, w in zip(values, weights, strict=True)) / sum(weights)
