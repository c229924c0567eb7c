"""The score explorer: its widget (``explorer``), what it is made of, and its scripts.

``items`` joins the tables into one row per scored candidate. ``pool_cut`` prepares what every share
keeps, and ``packing`` sends it, so that the page can follow a drag of the cut without the kernel.
``picking`` finds disagreements, and ``curves`` holds curves with intervals. In the browser,
``points.js`` holds the columns, ``chart.js`` has axes and export, ``histogram.js`` draws the
distributions with the cut, and ``inspecting.js`` draws the views below them with ``scatter.js`` and
``lines.js``.
"""

from vital_lib.panels.score_explorer.explorer import ScoreExplorer
