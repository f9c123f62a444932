"""The interpreter ends cleanly while a handler of a client is inside OpenCV."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from livereactor.base.exit_gate import ExitGate

ENDS_INSIDE_OPENCV = """
import sys, threading, time
import cv2, numpy as np
from livereactor.client._sync.loop import HandlerThread
from livereactor.client.tracks.receiving import PlainHandler
from livereactor.media.frames import Frame

began, noise = threading.Event(), np.zeros((400, 400, 3), np.uint8)

def blur(*_):
    began.set()
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        cv2.GaussianBlur(noise, (0, 0), 3)

if sys.argv[1] == "events":
    handlers = HandlerThread()
    for _ in range(100):
        handlers.submit(blur)
else:
    handler = PlainHandler("main_video", blur, False)
    handler.put(Frame(noise))
assert began.wait(30)
print("the program ends")
"""


@pytest.mark.parametrize("handlers", ["events", "frames"])
def test_a_handler_inside_native_code_does_not_abort_the_exit(handlers: str) -> None:
    command = [sys.executable, "-c", ENDS_INSIDE_OPENCV, handlers]
    for _ in range(3):  # without the gate each one is aborted
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "the program ends\n", "")


def test_a_closed_gate_waits_for_those_inside_and_lets_nobody_in() -> None:
    gate, inside, leave = ExitGate(), threading.Event(), threading.Event()

    def work() -> None:
        with gate:
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(30)
    assert not gate.close(patience=0.01)
    with pytest.raises(SystemExit), gate:
        pass
    leave.set()
    assert gate.close(patience=30)
    thread.join()
