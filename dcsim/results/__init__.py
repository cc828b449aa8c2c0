"""The results room: what a run leaves behind.

`recorder` writes one HDF5 file while a run goes, `summary` makes the figures that
`dcsim run --json` prints, `results` reads the file back as pandas frames. The layout is
documented in docs/results-format.md and is an interface.
"""

from dcsim.results.results import Results

__all__ = ["Results"]
