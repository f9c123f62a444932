"""`blobs` with one parameter per adapter; `leftovers` lists what a folder store keeps besides whole blobs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from livereactor.blobs.folder import FolderBlobs
from livereactor.blobs.memory import MemoryBlobs
from livereactor.blobs.port import Blobs

ADAPTERS: dict[str, Callable[[Path], Blobs]] = {"folder": FolderBlobs, "memory": lambda _root: MemoryBlobs()}


@pytest.fixture(params=sorted(ADAPTERS))
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return ADAPTERS[request.param](tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> Callable[[], list[str]]:
    return lambda: sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
