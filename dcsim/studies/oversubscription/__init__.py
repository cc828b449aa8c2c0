"""Oversubscription: how many racks fit under a limit, by power model and by policy."""
