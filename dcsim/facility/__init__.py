"""The facility room: the site's power tree, its limits, and the breakers that guard them.

`site` steps it. `flow` makes loads of nodes of the servers' watts, `supply` knows which nodes are
energised. `thresholds` tells when a load has been too high for long enough, `breakers` ages every
breaker by its time-current curve, and `limit_monitor` turns both into flags (`events`). The tree
is the plant's.
"""
