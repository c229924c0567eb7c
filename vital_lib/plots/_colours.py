"""The plots' colours: Okabe and Ito's (2008), and greys.

Plots have no ground of their own. Greys, ochre and leaf green have a contrast of at least 4 to both
white and JupyterLab's dark ground, so one picture serves both themes.
"""

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PINK, GREY, INK, PALE = "#56B4E9", "#CC79A7", "#8A8F98", "#757980", "#A9AFB8"
OCHRE, LEAF = "#B36B00", "#008A63"  # orange and green for texts and thin lines
LINE, TICK, GRID = "#757980", "#757980", "#8A8F9840"
# Marks of groups in a scatter: a contrast of at least 3 to both grounds. Two of them differ by at
# least 10 (CIEDE2000), also as seen without red, green or blue cones (Machado et al. 2009).
MARKS = ("#0069AB", "#D27C05", "#0D8A55", "#C27BB0", "#B13A0B", "#1C98F5", "#8D8D82")
