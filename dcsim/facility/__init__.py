"""The facility room: the site's power tree, its limits, and the breakers that guard them.

`levels` tells when a load has been too high for long enough, `breakers` ages every breaker by its
time-current curve, and `watch` turns both into flags (`events`). The tree is the plant's.
"""
