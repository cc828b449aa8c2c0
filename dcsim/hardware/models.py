"""Served models of the catalogue, by the numbers of their architecture."""

from __future__ import annotations

from pydantic import Field, model_validator

from dcsim.spec.base import Name, Spec


class ServedModel(Spec):
    """Architecture numbers of a decoder: dense or with experts, full or sliding attention."""

    name: Name
    title: str
    family: Name = "other"
    """Models of one architecture and precision, which share a timing correction."""
    n_layers: int = Field(ge=1)
    d_model: int = Field(ge=1)
    n_heads: int = Field(ge=1)
    n_kv_heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    vocab_size: int = Field(ge=1)
    transformer_params: float = Field(gt=0)
    """All weights but the input embedding and the output head."""
    head_params: float = Field(gt=0)
    tied_embeddings: bool = False
    bytes_per_param: float = Field(default=2.0, gt=0)
    """Of the transformer's weights outside the routed experts, on average."""
    head_bytes_per_param: float = Field(default=2.0, gt=0)
    """Of the output head and the input embedding."""
    n_experts: int = Field(default=1, ge=1)
    """Routed experts of a layer; 1: dense."""
    experts_per_token: int = Field(default=1, ge=1)
    expert_params: float = Field(default=0.0, ge=0)
    """Weights in routed experts, over all layers; part of `transformer_params`."""
    expert_bytes_per_param: float = Field(default=2.0, gt=0)
    fp8_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the transformer's FLOPs that run in FP8, at twice the bf16 peak."""
    sliding_layers: int = Field(default=0, ge=0)
    """Layers whose attention sees the last `sliding_window` tokens only."""
    sliding_window: int = Field(default=0, ge=0)
    source: str

    @model_validator(mode="after")
    def _parts_fit_the_whole(self) -> ServedModel:
        if self.experts_per_token > self.n_experts:
            raise ValueError("experts_per_token must be at most n_experts")
        if self.expert_params >= self.transformer_params:
            raise ValueError("expert_params must be less than transformer_params")
        if (self.expert_params > 0) != (self.n_experts > 1):
            raise ValueError("expert_params and n_experts above 1 come together")
        if self.sliding_layers > self.n_layers or (self.sliding_layers > 0) != (
            self.sliding_window > 0
        ):
            raise ValueError("sliding_layers (at most n_layers) and sliding_window come together")
        return self

    @property
    def active_share(self) -> float:
        """Share of a layer's routed experts that one token goes through."""
        return self.experts_per_token / self.n_experts

    @property
    def active_params(self) -> float:
        """Transformer weights that one token is multiplied with."""
        return self.transformer_params - (1.0 - self.active_share) * self.expert_params

    @property
    def quantised(self) -> bool:
        """Whether most of the weights have fewer than 16 bits."""
        return self.transformer_bytes < 1.5 * self.transformer_params

    @property
    def transformer_bytes(self) -> float:
        """Bytes of all weights but the input embedding and the output head."""
        dense = self.transformer_params - self.expert_params
        return dense * self.bytes_per_param + self.expert_params * self.expert_bytes_per_param

    @property
    def weight_bytes(self) -> float:
        """Bytes of all weights; an untied input embedding is as large as the head."""
        copies = 1.0 if self.tied_embeddings else 2.0
        return self.transformer_bytes + copies * self.head_params * self.head_bytes_per_param

    @property
    def full_layers(self) -> int:
        """Layers whose attention sees the whole context."""
        return self.n_layers - self.sliding_layers

    @property
    def kv_bytes_per_token(self) -> float:
        """Keys and values of one token over all layers, 2 bytes a number."""
        return 2.0 * self.n_layers * self.n_kv_heads * self.head_dim * 2.0

    @property
    def sliding_kv_bytes_per_token(self) -> float:
        """The part of `kv_bytes_per_token` in layers that slide."""
        return self.kv_bytes_per_token * self.sliding_layers / self.n_layers

    @property
    def held_kv_bytes_per_token(self) -> float:
        """Bytes that a token of a sequence holds, for the capacity of KV memory.

        A layer that slides holds its window only, however long the sequence: counted as if
        sequences were 1024 tokens long.
        """
        sliding = self.sliding_kv_bytes_per_token
        return self.kv_bytes_per_token - sliding * (1.0 - min(1.0, self.sliding_window / 1024.0))
