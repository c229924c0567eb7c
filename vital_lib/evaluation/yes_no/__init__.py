"""Reads whether an answer says yes or no to its question.

``question`` parses what is asked, ``answer`` reads the verdict, ``general`` finds clauses that are
true of any image, and ``lexicon`` holds the word lists.
"""

from vital_lib.evaluation.yes_no.answer import read_yes_no, statements
from vital_lib.evaluation.yes_no.question import telling
