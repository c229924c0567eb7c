"""The preference card as a web page, served by Voila to clinicians who do not use notebooks.

``python -m vital_lib.labelling`` gives each annotator a secret link (``links``), serves the page
(``service``) and runs ``card.ipynb`` in a separate kernel for each open page (``card``): first the
guideline and the calibration round, then the queue. The panel displays the items, and the label
log stores the judgements.
"""

from vital_lib.labelling.card import card_for_link, open_calibration, open_card, open_page
