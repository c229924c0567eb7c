"""The preference card alone, served by Voila to clinicians who do not open notebooks.

``python -m vital_lib.labelling`` gives every annotator a secret link (``links``), serves the page
(``service``) and runs ``card.ipynb`` in a kernel of its own for each page that is opened
(``card``): the calibration round first, then the queue. What is shown and what is kept is the
panel's and the label log's affair.
"""

from vital_lib.labelling.card import card_for_link, open_calibration, open_card, open_page
