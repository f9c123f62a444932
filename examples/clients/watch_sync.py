"""The shortest client without `await`, for scripts and notebooks. `livereactor run examples/pond.py`"""

from itertools import islice

import livereactor as lr

with lr.SyncReactor("pond", local=True) as reactor:
    print(reactor.commands.drop(x=0.5, y=0.5))
    frames = list(islice(reactor.track("main_video").frames(), 30))
    print(f"{len(frames)} frames of {frames[-1].shape[1]}x{frames[-1].shape[0]}")
