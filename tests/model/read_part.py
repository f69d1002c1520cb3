"""One of several processes of a pod: opens weights on a mesh over all of them, says what it read, and exports.

    python -m tests.model.read_part FOLDER OUT DATA FSDP

The environment says which process it is, as a launcher would (dsmath/runtime.py). The last line is JSON.
"""

import json
import sys
from pathlib import Path

import jax
import numpy as np

from dsmath import runtime
from dsmath.config import Mesh
from dsmath.model import decoder, fingerprint, folder, sharded, stacking
from dsmath.sharding import TRAINING, make_mesh, shardings
from tests.model.counting import counted


def main(source: Path, out: Path, data: int, fsdp: int) -> None:
    """Read, export, and read what was exported."""
    runtime.start()
    weights, read = counted(folder.open_weights(source))
    mesh = make_mesh(Mesh(data, fsdp, 1))
    over = shardings(decoder.axes(weights.arch), mesh, TRAINING)
    params = stacking.place(weights, over, np.float32)
    folder.save(out, params, weights.arch, bos=0, eos=1, dtype="bfloat16")
    pieces = out.with_name("sharded")
    if (pieces / "config.json").exists():
        again = sharded.restore(pieces, weights.arch, over, np.float32)
        assert fingerprint.fingerprint(again) == fingerprint.fingerprint(params)
    parts = [{str(s.index): s.data.size for s in x.addressable_shards} for x in jax.tree.leaves(params)]
    held = sum(size for sizes in parts for size in sizes.values())
    print(json.dumps({"read": sum(read.values()), "held": held, "fingerprint": fingerprint.fingerprint(params)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
