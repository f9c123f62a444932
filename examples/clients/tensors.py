"""Use frames in torch without a copy, or in any library with DLPack. `livereactor run examples/pond.py`"""

from itertools import islice
from typing import Any

import numpy as np

import livereactor as lr

try:
    from torch import from_dlpack  # pyright: ignore[reportMissingImports]
except ImportError:
    from_dlpack: Any = np.from_dlpack  # the same protocol, if torch is not installed

with lr.SyncReactor("pond", local=True) as reactor:
    batch = []
    for frame in islice(reactor.track("main_video").frames(), 8):
        tensor = from_dlpack(frame)  # uint8 (height, width, 3), the frame's own memory; .to("cuda") from here
        batch.append(tensor[::2, ::2])
print(f"{len(batch)} tensors of {tuple(batch[0].shape)}, {batch[0].dtype}")
