"""The facility room: the site's power tree, its limits, and the breakers that guard them.

`topology` expands the scenario's table into a networkx tree and sums loads up it, `breakers`
ages every breaker by its time-current curve, `watch` turns both into flags.
"""
