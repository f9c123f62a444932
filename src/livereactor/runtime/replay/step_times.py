"""When each step of a journal was made, in seconds of media time. Pure.

A journal knows it of some steps, those of its pictures, about one a second. Between two of them steps are taken to be
even.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from livereactor.runtime.replay.journal_format import PictureDigest, SessionJournal

OWN_RATE: Final = 30.0  # frames a second, where the model has its own rate and the journal does not tell
LEAST: Final = 1e-3  # seconds between two steps


def step_times(journal: SessionJournal) -> NDArray[np.float64]:
    """Seconds by step: index 0 is unused, index `journal.steps + 1` is when the last step's pictures are over.

    Increasing from index to index.
    """
    count, interval = journal.steps + 2, 1 / (journal.header.fps or OWN_RATE)
    marks = _marks(journal)
    first, last = min(marks), max(marks)
    numbers = np.arange(count, dtype=np.float64)
    times = np.interp(numbers, sorted(marks), [marks[each] for each in sorted(marks)])
    times[:first] = marks[first] + (numbers[:first] - first) * interval
    times[last + 1 :] = marks[last] + (numbers[last + 1 :] - last) * interval
    # Clocks of two threads may cross by a hair; a film takes no frame that is not after the last.
    return np.maximum.accumulate(times - numbers * LEAST) + numbers * LEAST


def _marks(journal: SessionJournal) -> dict[int, float]:
    return {each.step: each.at for each in journal.entries if isinstance(each.what, PictureDigest)} or {1: 0.0}
