#!/bin/sh
# bitsandbytes 0.50.2 on a CPU with AVX512-BF16: a Linear4bit that has answered once in eval mode
# gives no gradient any more, though it is back in train mode.
#
# Expected: eval(), a measurement, train() leave the training as it was; x.grad is the same.
# Seen: the forward pass in eval mode repacks the weights in place for inference, train() does not
# undo it, and the packed product has no gradient: x.grad is None. backward() does not fail; torch
# only warns. The float32 layer also computes in bfloat16 from then on.
# So a QLoRA run on such a CPU that measures its held-out loss trains on with wrong gradients.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  bitsandbytes==0.50.2 torch==2.13.0 numpy==2.4.6
PYTHONPATH="$work/lib" "${PYTHON:-python3}" - <<'PY'
import sys
import warnings
from importlib.metadata import version

import bitsandbytes
import torch
from bitsandbytes.functional import has_avx512bf16

if not has_avx512bf16():
    sys.exit("this CPU has no AVX512-BF16: the packed product cannot be seen here")
warnings.simplefilter("ignore")
torch.manual_seed(0)
layer = bitsandbytes.nn.Linear4bit(64, 64, bias=False, compute_dtype=torch.float32).to("cpu")
inputs = torch.randn(3, 64)


def trained():
    x = inputs.clone().requires_grad_()
    y = layer.train()(x)
    y.sum().backward()
    return y.detach(), x.grad


before, gradient = trained()
with torch.no_grad():
    layer.eval()(inputs)
after, none = trained()
moved = float((after - before).norm() / before.norm())
print("bitsandbytes", version("bitsandbytes"), "torch", torch.__version__)
print(f"gradient of the inputs before eval: of norm {float(gradient.norm()):.2f}; after: {none}")
print(f"outputs in train mode moved by {moved:.2%}")
assert float(gradient.norm()) > 1 and none is None and 1e-4 < moved < 1e-2, "changed"
PY
