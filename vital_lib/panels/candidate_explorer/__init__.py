"""The candidate explorer: its widget (``explorer``), its rows in Python, and its scripts.

``rows`` joins the tables by id, ``facets`` and ``index`` filter, count, search and sort, and
``listing`` keeps what is listed. ``cells``, ``details`` and ``aligned`` say what is known of a row,
of one candidate and of its figure. In the browser, ``explorer.js`` holds what the page remembers,
``table.js`` draws the rows in view, and ``detail.js`` the candidate shown.
"""

from vital_lib.panels.candidate_explorer.explorer import CandidateExplorer
