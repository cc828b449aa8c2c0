"""Charts: each picture is described once, and drawn from that description for page and paper.

`model` has the parts of a description, `run`, `study`, `trip` and `compared` make descriptions
from results. The page's script draws them with plotly (`page` writes them into the page,
`assets/chart.js` draws), `print` makes a matplotlib figure (extra `plots`). Two pictures of the
page are drawn by its script alone, since the reader zooms into them and chooses what they show:
the load over time and the heat map, from packed loads (`dcsim.report.page.series`).
"""
