"""The preference card: its widget (``card``), the items and messages it handles, and its scripts.

``item_key`` packs an item's ids, ``pairs`` holds what is shown of an item, and ``judgement`` checks
the page's messages. In the browser, ``labelling.js`` is one annotator's session, ``outbox.js``
keeps unsaved judgements, ``picture.js`` draws the figure, and ``card.js`` draws the rest.
"""

from vital_lib.panels.preference_card.card import CRITERIA, PreferenceCard
