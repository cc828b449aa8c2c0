"""Charts: each picture is described once, and drawn from that description for page and paper.

`model` has the parts of a description, `run`, `study`, `trip` and `compared` make descriptions
from results, `plotly` turns one into what the page's script draws, `print` into a matplotlib
figure (extra `plots`). Two pictures of the page are drawn by its script alone, since the reader
zooms into them: the load over time and the heat map, whose loads are packed (`page.series`).
"""
