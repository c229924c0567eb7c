"""The study (`make study`): does the method help, and when does it not?

``pooling`` runs the notebooks for several seeds, with more tuned models and more sampled answers
than the demo, and pools every claim. ``sweeps`` varies one cause at a time in the small worlds of
``world``: the share kept, the number of labels, the generator's errors, the judge's bias; and it
measures worlds without a cause, in which nothing may be found. All of it is simulated.
"""

from vital_lib.study.pooling import SEEDS, SETTINGS, check_runs, pool, pooled, run_seed
from vital_lib.study.sweeps import ARTICLES, MEASURES, SWEEPS, run_sweeps
