"""Which properties of a response annotators reward, and which a judge rewards.

``properties`` reads length, hedging, terms and others from a response. ``effects`` measures how
each one goes with acceptance and with ratings. ``words`` states the result and shows the responses
behind it. The package knows no generator and no figure set; it is independent of the selector.
"""

from vital_lib.rewards.effects import ALL, EACH, JUDGE, reasons_given, rewards
from vital_lib.rewards.properties import PROPERTIES, absolutes, hedges, marked, properties_of, terms
from vital_lib.rewards.slopes import FALSE_DISCOVERIES
from vital_lib.rewards.words import conclusion, effect_in_words, examples, metrics_of
