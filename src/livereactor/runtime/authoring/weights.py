"""Files a model needs before `load`: declared on its class, found here. Reads the file system only."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from livereactor.base.errors import UsageError

DIRECTORY = "LIVEREACTOR_WEIGHTS_DIR"


class WeightsError(UsageError):
    """A file of weights is missing or not what was declared."""

    code = "weights_error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A file of weights that the runtime fetches and checks before `load`.

        weights = [lr.Weights("unet", url="https://…/unet.safetensors", sha256="…")]

    Attributes:
        name: the name for `self.weights_path(name)`: letters, digits, dots, dashes and underscores.
        url: the address, http or https.
        sha256: 64 hex digits; a file with another hash is never loaded.
        size: size in bytes, if you know it.

    Raises:
        ValueError: an argument does not have that form.
    """

    name: str
    url: str
    sha256: str
    size: int | None = None

    def __init__(self, name: str, *, url: str, sha256: str, size: int | None = None) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            raise ValueError(f"weights {name!r}: a name has letters, digits, dots, dashes and underscores only")
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"weights {name!r}: {url!r} is not an http or https address")
        if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
            raise ValueError(f"weights {name!r}: sha256 has {len(sha256)} characters; give the file's 64 hex digits")
        for field, value in (("name", name), ("url", url), ("sha256", sha256.lower()), ("size", size)):
            object.__setattr__(self, field, value)

    @property
    def path(self) -> Path:
        """The file's path once it is fetched. Its name has part of the hash, so that two versions never mix."""
        suffix = PurePosixPath(urlsplit(self.url).path).suffix
        return weights_folder() / f"{self.name}-{self.sha256[:16]}{suffix}"


def weights_folder() -> Path:
    """`LIVEREACTOR_WEIGHTS_DIR`, or the user's cache."""
    if chosen := os.environ.get(DIRECTORY):
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "livereactor" / "weights"


def weights_file(declared: Sequence[Weights], name: str) -> Path:
    """The fetched file of `name`.

    Raises:
        WeightsError: not declared, or not there.
    """
    found = next((each for each in declared if each.name == name), None)
    if found is None:
        names = ", ".join(each.name for each in declared) or "none"
        raise WeightsError(f"no weights named {name!r} are declared (declared: {names}); add them to `weights`")
    if not found.path.is_file():
        raise WeightsError(f"weights {name!r} are missing; they are fetched before load: check url and sha256")
    return found.path
