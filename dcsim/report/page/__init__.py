"""The self-contained page: `dcsim report`.

`run` gathers what a results file shows, `study` what a study's folder shows, `html` writes one
file of either: our style and script (`assets/`), plotly's script, and the data, packed (`pack`).
Nothing is fetched from anywhere when it is opened.
"""

from dcsim.report.page.run import run_page
from dcsim.report.page.study import study_page

__all__ = ["run_page", "study_page"]
