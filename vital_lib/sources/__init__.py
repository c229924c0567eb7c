"""Sources: one string opens a figure set of any kind (``opening``) and streams its records.

A record has the field names of LLaVA-Med, whatever its source calls them (``forms``). The package
does not depend on groups, splits or models, and it decodes no image.
"""

from vital_lib.sources.forms import in_known_words
from vital_lib.sources.opening import Source, open_source
from vital_lib.sources.tables import image_folder
