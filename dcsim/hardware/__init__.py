"""The hardware room: what GPUs, served models, servers and curves there are, and what work costs
on them.

`catalogue` has the entries that scenario files name. Iteration time, FLOPs, bytes and KV capacity
are stated here once (`roofline`), for serving, power, learning and checks alike.
"""

from dcsim.hardware.catalogue import Catalogue, load_catalogue

__all__ = ["Catalogue", "load_catalogue"]
