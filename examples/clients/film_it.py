"""Control a model and save its picture as a film with PyAV. `livereactor run examples/pond.py`"""

import math
import sys
import time

import livereactor as lr
from livereactor.integrations.film import Film

path = sys.argv[1] if len(sys.argv) > 1 else "pond.mp4"
with lr.SyncReactor("pond", local=True) as reactor, Film(path) as film:
    began = time.monotonic()
    reactor.track("main_video").on_frame(film.add)  # runs on its own thread: the loop below does not delay it
    while (turn := time.monotonic() - began) < 3:
        x, y = 0.5 + 0.3 * math.cos(4 * turn), 0.5 + 0.3 * math.sin(4 * turn)
        reactor.commands.drop(x=x, y=y, strength=0.6)
        time.sleep(0.1)
print(f"{film.frames} frames in {path}")
