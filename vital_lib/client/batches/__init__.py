"""OpenAI's batches: the same requests at half the price, answered within a day.

- ``run``: one call of ``ChatClient.ask`` with ``batch=True``: submits, waits and collects
- ``asked``: its requests and replies
- ``writing``: writes input files, with images
- ``collecting``: stores the replies of a batch that has ended
- ``pending``: the ledger's record of what was submitted and is not collected
- ``api``: the endpoint's files and batches, with retries
- ``files``: the lines of input and output files
"""

from vital_lib.client.batches.pending import Pending
from vital_lib.client.batches.run import BatchRun, cancel
