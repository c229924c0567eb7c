"""Run the heavy steps on Ray: on the cores of this machine, or on a cluster.

One parameter decides: ``engine="local"`` works in this process, ``engine="ray"`` in Ray's workers,
with the same results. Ray is an optional extra, imported only by ``engine="ray"``.

- ``client``: a chat client whose requests are sent by workers; prompts, ledger, cost ceiling and
  rate limit stay in this process
- ``encoding``: an encoder whose images and texts are encoded by workers
- ``scoring``: a selector's scores of candidates, features and all computed by workers; imported by
  itself, since it needs torch
- ``shards``: rows in sharded Parquet files, one worker's call per shard
- ``cluster``: the connection to Ray
"""

from vital_lib.scale.client import open_client
from vital_lib.scale.cluster import connected
from vital_lib.scale.encoding import encode_folder, load_encoder
from vital_lib.scale.shards import (
    Shard,
    ShardsFailed,
    read_shard,
    run_shards,
    shard_names,
    write_shards,
)
