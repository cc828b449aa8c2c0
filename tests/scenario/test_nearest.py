"""Names that are like a wrong one."""

from __future__ import annotations

from dcsim.spec.nearest import nearest_few


def test_the_nearest_few_are_named_and_the_others_counted() -> None:
    names = [f"{model}/h100/tp{n}" for model in ("gemma-3", "llama-3", "qwen3") for n in (1, 2, 4)]
    few = nearest_few("qwen3/h100/tp8", names)
    assert few == "qwen3/h100/tp1, qwen3/h100/tp2, qwen3/h100/tp4 and 6 others"
    # "and 1 other" would be no shorter than its name.
    assert nearest_few("gemma-3/h100/tp1", names[:3] + names[6:7]).count(",") == 3
    assert nearest_few("anything", []) == ""
