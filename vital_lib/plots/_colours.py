"""The plots' colours: Okabe and Ito's (2008), and greys.

Plots have no ground of their own. Greys, ochre and leaf green have a contrast of at least 4 to both
white and JupyterLab's dark ground, so one picture serves both themes.
"""

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PINK, GREY, INK, PALE = "#56B4E9", "#CC79A7", "#8A8F98", "#757980", "#A9AFB8"
OCHRE, LEAF = "#B36B00", "#008A63"  # orange and green for texts and thin lines
LINE, TICK, GRID = "#757980", "#757980", "#8A8F9840"
