"""Use frames in OpenCV: find the frame with the most edges. `livereactor run examples/pond.py`"""

import sys
from itertools import islice

import cv2

import livereactor as lr

path = sys.argv[1] if len(sys.argv) > 1 else "edges.png"
with lr.SyncReactor("pond", local=True) as reactor:
    best, most = None, -1.0
    for frame in islice(reactor.track("main_video").frames(), 30):
        edges = cv2.Canny(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), 80, 160)  # OpenCV's default is BGR
        if edges.mean() > most:
            best, most = edges, float(edges.mean())
    assert best is not None
    cv2.imwrite(path, best)
print(f"the richest frame is {most / 2.55:.1f} % edges: {path}")
