"""One fuzzer in a process of its own: `python -m tests.fuzz.one NAME`, and then arguments of libFuzzer."""

from __future__ import annotations

import logging
import sys
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import structlog

from tests.fuzz import targets

# What is instrumented: ours, and parsers in Python that ours lean on.
WATCHED: Final = ["livereactor", "tests.fuzz.readers", "jwt", "tomllib", "PIL", "aiortc.sdp", "aioice.candidate"]

OUTCOMES: Final = 256


def main(name: str, arguments: list[str]) -> None:
    """Run libFuzzer; it ends the process."""
    atheris: Any = import_module("atheris")  # not among what the tests need
    with atheris.instrument_imports(include=WATCHED, enable_loader_override=False):
        found = targets.target(name)
    from tests.fuzz.promises import hold

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    # libFuzzer starts itself again by its first argument to merge a corpus.
    again = f"{sys.executable} -m tests.fuzz.one {name}"
    outcomes = _branches(atheris)

    def run(data: bytes) -> None:
        hold(found, data, lambda outcome: outcomes[zlib.crc32(outcome.encode(errors="replace")) % OUTCOMES]())

    atheris.Setup([again, f"-max_len={found.longest}", *arguments], run)
    atheris.Fuzz()


def _branches(atheris: Any) -> list[Callable[[], None]]:
    """Make functions that libFuzzer tells apart: pydantic, protobuf and engines show it no branch of their own."""
    names: dict[str, Any] = {}
    exec("".join(f"def at_{number}(): return None\n" for number in range(OUTCOMES)), names)
    return [atheris.instrument_func(names[f"at_{number}"]) for number in range(OUTCOMES)]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
