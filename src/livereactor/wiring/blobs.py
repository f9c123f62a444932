"""The blob store that `[blobs] url` names: a folder or a bucket."""

from __future__ import annotations

from pathlib import Path

from livereactor.base.errors import ConfigError, UsageError
from livereactor.blobs.folder import FolderBlobs
from livereactor.blobs.port import Blobs
from livereactor.blobs.retention import HOUR, Rules
from livereactor.blobs.s3 import Bucket, S3Blobs
from livereactor.settings import Settings


def blobs_url(settings: Settings, folder: Path) -> str:
    """Return the URL that the settings name, a folder as an absolute path; `folder` by default."""
    url = settings.blobs.url
    return url if url is not None and "://" in url else str((Path(url) if url else folder).absolute())


def retention_rules(settings: Settings) -> Rules:
    """Return how long and how much is kept, as `[recorder]` says."""
    given = settings.recorder
    return Rules(retention=given.retention_hours * HOUR, max_bytes=round(given.max_disk_gb * 1e9))


def open_blobs(url: str) -> Blobs:
    """The blobs at `s3://bucket/prefix`, or in a folder, which is made.

    Raises:
        ConfigError: it is neither, or the folder cannot be made.
    """
    try:
        return S3Blobs(Bucket.parse(url)) if "://" in url else FolderBlobs(Path(url))
    except UsageError as error:
        raise ConfigError(f"[blobs] url: {error.message}") from error
    except OSError as error:
        raise ConfigError(f"cannot make the folder {url} ({error.strerror}); name another by --blobs") from error
