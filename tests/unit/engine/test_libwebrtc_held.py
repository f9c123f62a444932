"""What libwebrtc made is freed by a sweep, on the sweeping thread, whoever collects the garbage it hung in."""

from __future__ import annotations

import gc
import threading
import weakref

from livereactor.engine.libwebrtc.held import Held


class Native:
    """Stands for a track."""


def freed_by(native: Native) -> list[str]:
    """The name of the thread that frees it, once it has."""
    names = list[str]()
    weakref.finalize(native, lambda: names.append(threading.current_thread().name))
    return names


def collect_elsewhere() -> None:
    thread = threading.Thread(target=gc.collect, name="elsewhere")
    thread.start()
    thread.join()


def test_what_hangs_in_a_circle_is_freed_by_the_sweep_and_not_by_who_collects() -> None:
    held, circle = Held(), list[object]()
    circle += [circle, held.keep(Native())]
    names = freed_by(circle[1])  # pyright: ignore[reportArgumentType]
    held.sweep()
    del circle
    held.sweep()
    assert len(held) == 1  # the circle has it still
    collect_elsewhere()
    assert names == []
    held.sweep()
    assert names == [threading.current_thread().name]
    assert len(held) == 0


def test_what_somebody_has_stays() -> None:
    held = Held()
    mine, names = held.keep(Native()), list[str]()
    names = freed_by(mine)
    held.keep(Native())
    held.sweep()
    assert len(held) == 1
    assert names == []
    del mine
    held.sweep()
    assert len(names) == 1
