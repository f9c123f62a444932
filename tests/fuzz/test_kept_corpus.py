"""The kept corpus once: what fuzzers have found stays mended, and every promise holds on what they reached."""

from __future__ import annotations

import pytest

from tests.fuzz.promises import counted, hold
from tests.fuzz.targets import CORPUS, NAMES, kept, target


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")  # Pillow's, of damaged pictures
@pytest.mark.parametrize("name", NAMES)
def test_every_kept_input_is_read_or_refused_by_name(name: str) -> None:
    inputs = kept(name)
    found = target(name)
    assert found.name == name
    taken = [hold(found, path.read_bytes()) for path in inputs]
    assert any(taken), "no input gets through: the corpus reaches nothing behind the first check"


def test_the_corpus_is_of_our_targets_and_small() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(NAMES)
    assert sum(path.stat().st_size for name in NAMES for path in kept(name)) <= 200_000


def test_work_is_counted() -> None:
    def idle() -> None:
        pass

    def busy() -> None:
        for _ in range(30):
            idle()

    with counted(40):
        busy()
    with pytest.raises(AssertionError, match="more than 20 calls"), counted(20):
        busy()
