"""Savings: what capacity that need not be built is worth, and what the site costs to run."""
