"""Long measurements of speed, scale and fidelity, and the makers of shipped fits and packs."""
