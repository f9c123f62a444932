"""Fetching a model's weights before `load`: resumed where a download broke off, checked before it has its name.

Blocks; the model thread calls it on the model's thread, where nothing waits for it but `load`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx2

from livereactor.base.clock import Clock, SystemClock
from livereactor.runtime.authoring.weights import Weights, WeightsError

ATTEMPTS: Final = 5  # a download is tried so often without a byte of progress
PAUSE: Final = 1.0  # seconds before the second attempt; doubled before each further one
TIMEOUT: Final = httpx2.Timeout(30.0)  # seconds of silence

Report = Callable[[float, str], None]


def fetch(weights: Weights, report: Report, clock: Clock | None = None) -> Path:
    """Make sure that a file of weights is there, and right.

    Args:
        report: called with the fraction done, 0 to 1, and a text for people.

    Returns:
        its path.

    Raises:
        WeightsError: it cannot be fetched, or is not what was declared.
    """
    path = weights.path
    if path.is_file():  # it got its name only after it was checked
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    _download(weights, part, report, clock or SystemClock())
    report(1.0, f"checking {weights.name}")
    _check(weights, part)
    try:
        part.replace(path)
    except FileNotFoundError:
        if not path.is_file():  # else another worker of this machine was a moment faster
            raise
    return path


def _download(weights: Weights, part: Path, report: Report, clock: Clock) -> None:
    failures = 0
    while True:
        before = _size(part)
        try:
            _continue(weights, part, report)
            return
        except httpx2.TransportError as error:
            failures = 1 if _size(part) > before else failures + 1
            if failures >= ATTEMPTS:
                raise WeightsError(
                    f"weights {weights.name!r}: {type(error).__name__} from {weights.url} after {ATTEMPTS} attempts; "
                    "check the address and the network"
                ) from error
        clock.wait(PAUSE * 2 ** (failures - 1))


def _continue(weights: Weights, part: Path, report: Report) -> None:
    """Fetch what `part` lacks."""
    start = _size(part)
    if weights.size is not None and start >= weights.size:
        return
    headers = {"Range": f"bytes={start}-"} if start else {}
    with httpx2.stream("GET", weights.url, headers=headers, timeout=TIMEOUT, follow_redirects=True) as response:
        if response.status_code == 416:  # nothing is left: it had arrived whole, and the check decides
            return
        if response.status_code >= 500:
            raise httpx2.ReadError(f"the server answered {response.status_code}")
        if response.status_code not in (200, 206):
            answer = f"{weights.url} answered {response.status_code}"
            raise WeightsError(f"weights {weights.name!r}: {answer}; check the url")
        offset = start if response.status_code == 206 else 0
        total = weights.size or offset + int(response.headers.get("Content-Length", 0))
        percent = -1
        for done in _written(response, part, offset):
            if total and percent != (percent := 100 * done // total):
                report(min(1.0, done / total), f"fetching {weights.name}")


def _written(response: httpx2.Response, part: Path, offset: int) -> Iterator[int]:
    """Write the body into `part` at its offset; yields the file's length so far.

    Never appended: two workers that fetch the same file write the same bytes to the same places.
    """
    descriptor = os.open(part, os.O_CREAT | os.O_RDWR, 0o644)
    with os.fdopen(descriptor, "r+b") as file:
        file.seek(offset)
        for block in response.iter_raw():
            file.write(block)
            yield file.tell()


def _check(weights: Weights, part: Path) -> None:
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != weights.sha256:
        size = _size(part)
        part.unlink()
        raise WeightsError(
            f"weights {weights.name!r}: {weights.url} has sha256 {found[:12]}… and {size} bytes, declared "
            f"{weights.sha256[:12]}…; correct the declaration or the url"
        )


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
