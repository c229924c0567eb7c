"""The score explorer: its widget (``explorer``), the rows it shows, and its scripts.

``items`` joins the tables into one row per scored candidate, and ``pool_cut`` prepares what every
share keeps, so that the page can follow a drag of the cut without the kernel. In the browser,
``points.js`` holds these columns, ``chart.js`` has axes and export, and ``histogram.js`` draws the
distributions with the cut.
"""

from vital_lib.panels.score_explorer.explorer import ScoreExplorer
