"""The one-line diagram: what hangs from what, with ratings, as an engineer draws it.

`diagram` says which boxes there are (one a table row, or one a node with the small ones in
bundles), `layout` and `drawing` give them their places, `svg` and `print` (matplotlib) draw them.
The same drawing serves `dcsim show --svg`, the report, where it is coloured by headroom, and
`dcsim plot --kind oneline`.
"""

from dcsim.report.oneline.diagram import Box, Diagram, Link, of_results, of_table
from dcsim.report.oneline.svg import draw

__all__ = ["Box", "Diagram", "Link", "draw", "of_results", "of_table"]
