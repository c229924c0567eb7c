"""The plots' colours: Okabe and Ito's (2008), and greys."""

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PINK, GREY, INK, PALE = "#56B4E9", "#CC79A7", "#8A8F98", "#24292F", "#C3C9D1"
LINE, TICK, GRID = "#6E7781", "#57606A", "#E6E8EB"
