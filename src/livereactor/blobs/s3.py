"""Blobs in a bucket of Amazon S3, or of a store that speaks its protocol and honours `If-None-Match`.

livereactor holds no credentials: obstore takes them from the environment (`AWS_ACCESS_KEY_ID` and
`AWS_SECRET_ACCESS_KEY`), from a web identity (EKS), from the container (ECS) or from the machine (EC2), in this order.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

import structlog
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from livereactor.base.errors import UsageError
from livereactor.base.limits import MIB
from livereactor.blobs.objects import ObjectBlobs
from livereactor.blobs.port import AWAY, BlobExistsError, BlobKey, BlobMissingError, BlobsUnavailableError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

PART_BYTES: Final = 5 * MIB  # the least that S3 takes for a part that is not the last
REQUEST: Final = timedelta(seconds=30)  # one part over a line of 2 Mbit/s
CONNECT: Final = timedelta(seconds=5)
RETRIES: Final = 3
RETRY_FOR: Final = timedelta(seconds=10)  # a client waits, and an error is better than a longer wait
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")
_OPTIONS: Final = frozenset({"endpoint", "region"})
_HINTS: Final[Mapping[str, str]] = {
    "NoSuchBucket": "create the bucket, or name another with --blobs",
    "InvalidAccessKeyId": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key of this store",
    "SignatureDoesNotMatch": "set AWS_SECRET_ACCESS_KEY to the secret that belongs to AWS_ACCESS_KEY_ID",
    "AccessDenied": "allow the key to list the bucket and to get, put and delete its objects",
    "RequestTimeTooSkewed": "synchronise this machine's clock (NTP)",
    "NotImplemented": "use a store that honours If-None-Match on PUT and on CompleteMultipartUpload",
}

log = structlog.get_logger("livereactor.blobs")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, and a place in it.

    Attributes:
        prefix: of every key in the bucket; empty = none.
        endpoint: of a store that is not Amazon's; None = as the environment says, else Amazon's.
    """

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None

    @classmethod
    def parse(cls, url: str) -> Bucket:
        """Read `s3://bucket/prefix?endpoint=https://store.example&region=eu-1`; raises `UsageError` for other URLs."""
        parts = urlsplit(url)
        options, prefix = dict(parse_qsl(parts.query)), parts.path.strip("/")
        if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc):
            raise UsageError(f"{url!r} names no bucket; write 's3://bucket/prefix'")
        if unknown := sorted(options.keys() - _OPTIONS):
            raise UsageError(f"{unknown[0]!r} is not an option of a bucket URL; write '?endpoint=…&region=…'")
        if prefix:
            BlobKey.parse(prefix)
        endpoint = options.get("endpoint")
        if endpoint is not None and not endpoint.startswith(("https://", "http://")):
            raise UsageError(f"{endpoint!r} is not an endpoint; write '?endpoint=https://store.example'")
        return cls(parts.netloc, prefix, endpoint, options.get("region"))


class S3Blobs(ObjectBlobs):
    """The `Blobs` of this store.

    Args:
        place: the bucket; what it leaves open may be in the environment (`AWS_ENDPOINT_URL`, `AWS_REGION`, …).
    """

    def __init__(self, place: Bucket) -> None:
        self._place = place
        super().__init__(
            _store(place), part_bytes=PART_BYTES, writing=self._translated, reading=self._missing_or_translated
        )

    @contextmanager
    def _translated(self, key: BlobKey) -> Generator[None]:
        try:
            yield
        except (AlreadyExistsError, PreconditionError) as error:
            raise BlobExistsError(key) from error
        except BaseError as error:
            raise self._away(key, error) from error

    @contextmanager
    def _missing_or_translated(self, key: BlobKey) -> Generator[None]:
        try:
            with self._translated(key):
                yield
        except FileNotFoundError as error:
            if _code(error) == "NoSuchBucket":
                raise self._away(key, error) from error
            raise BlobMissingError(key) from error

    def _away(self, key: BlobKey, error: Exception) -> BlobsUnavailableError:
        """Log the reason, and return an error for clients, which says nothing of the store."""
        code = _code(error)
        refused = isinstance(error, PermissionDeniedError | UnauthenticatedError)
        todo = _HINTS.get(code, _HINTS["AccessDenied"] if refused else "check that the store can be reached")
        reason = code or str(error).partition("\n")[0]
        log.error("object store cannot be used", bucket=self._place.bucket, key=key.path, reason=reason, todo=todo)
        return BlobsUnavailableError(AWAY)


def _store(place: Bucket) -> S3Store:
    endpoint = place.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    config: S3Config = {"copy_if_not_exists": "multipart"}
    if place.endpoint is not None:
        config["endpoint"] = config["aws_endpoint_url_s3"] = place.endpoint  # the latter wins over the environment
    if place.region is not None:
        config["region"] = place.region
    client: ClientConfig = {"timeout": REQUEST, "connect_timeout": CONNECT}
    if endpoint is not None and endpoint.startswith("http://"):
        client["allow_http"] = True
    retry: RetryConfig = {"max_retries": RETRIES, "retry_timeout": RETRY_FOR}
    return S3Store(place.bucket, prefix=place.prefix or None, config=config, client_options=client, retry_config=retry)


def _code(error: Exception) -> str:
    """Return S3's own error code; empty where the answer has none."""
    found = re.search(r"<Code>(\w{1,64})</Code>", str(error))
    return found[1] if found else ""
