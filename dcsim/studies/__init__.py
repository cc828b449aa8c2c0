"""The studies room: the planner's questions, answered from results.

`sizing(results)` is the first: what the site draws at each level and averaging time.
"""

from dcsim.studies.sizing import sizing

__all__ = ["sizing"]
