"""What may stand behind a figure, and the shares of watts by it in words."""

from __future__ import annotations

from collections.abc import Mapping

EVIDENCE = ("measured", "fitted", "extrapolated", "assumed")
"""From the strongest to the weakest."""


def shares_text(shares: Mapping[str, float | None]) -> str:
    """Such as `58 % fitted, 42 % assumed`, the strongest first; `unknown` where nothing was drawn.

    Whole numbers that sum to 100, the largest remainders rounded up; a kind with watts that gets
    none of them is left out.
    """
    known = {name: 100.0 * share for name in EVIDENCE if (share := shares.get(name))}
    if not known:
        return "unknown"
    whole = {name: int(share) for name, share in known.items()}
    short = round(sum(known.values())) - sum(whole.values())
    for name in sorted(known, key=lambda name: whole[name] - known[name])[:short]:
        whole[name] += 1
    return ", ".join(f"{share} % {name}" for name, share in whole.items() if share)
