"""Tolerances of the facility's clocks."""

ROUNDING_S = 5e-7
"""Sums of power steps must not miss an instant by rounding, in s."""
