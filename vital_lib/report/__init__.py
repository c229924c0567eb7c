"""The run's report: one self-contained HTML page with its figures, plots and metrics.

It reads tables and ``metrics.json`` and computes no metric of its own. The template engine escapes
text from models and files, and the page's content policy forbids scripts. ``run`` reads the run;
``funnel``, ``examples``, ``inputs`` and ``pictures`` make the parts; ``page`` writes the report;
``notebook`` shows parts of it in notebook 00.
"""

from vital_lib.report.notebook import MetricsPage, ProgressPage
from vital_lib.report.page import write_report
from vital_lib.report.run import has_simulated_judge, simulated_parts, stale
