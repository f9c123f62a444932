"""The master secret, and the keys derived from it: for tokens, workers and blob URLs.

One secret in one place is one thing to keep and to change. The first of several signs and the others still verify, so
a new one in front logs no one out. A derived key reveals neither the secret nor another key (HKDF, RFC 5869).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from livereactor.base.errors import ConfigError

FILE_NAME: Final = "secrets.json"
MIN_CHARS: Final = 32  # as long as the hash: a shorter key is the weakest part (RFC 2104, section 3)
MIN_OLD_CHARS: Final = 16  # of a worker secret behind the first, which verifies until it is removed
_SALT: Final = b"livereactor master secret, version 1"


@dataclass(frozen=True, slots=True)
class Secrets:
    """The keys for each purpose, derived from the master secret.

    Args:
        masters: newest first, at least one; the first signs, all verify.
        worker_override: the secrets that workers show, separated by commas, newest first, if the operator set some.
    """

    masters: tuple[str, ...] = field(repr=False)
    worker_override: str | None = field(default=None, repr=False)

    @property
    def token_keys(self) -> Mapping[str, bytes]:
        """The keys of JSON web tokens by their id (`kid`); the first signs."""
        keys = [_derived(each, "tokens") for each in self.masters]
        return {hashlib.sha256(b"key id" + key).hexdigest()[:8]: key for key in keys}

    @property
    def worker(self) -> str:
        """The secret that workers show."""
        return self.worker_ring[0]

    @property
    def blobs(self) -> tuple[bytes, ...]:
        """The keys of addresses of uploads and clips, 32 bytes each; the first signs, all verify."""
        return tuple(_derived(each, "blobs") for each in self.masters)

    @property
    def worker_ring(self) -> tuple[str, ...]:
        """The secrets that workers may show, newest first: a Worker started before a change still has an older one."""
        derived = tuple(_text(_derived(each, "workers")) for each in self.masters)
        if not self.worker_override:
            return derived
        return (*worker_secrets(self.worker_override), *derived)

    def knows_worker(self, shown: str) -> bool:
        """Return whether this is a worker's secret; workers started before a change still show the older one."""
        # All are compared, so that the time does not tell which one fits.
        return sum(hmac.compare_digest(each.encode(), shown.encode()) for each in self.worker_ring) > 0


def worker_secrets(text: str) -> tuple[str, ...]:
    """Return the worker secrets of an operator, in `text`, separated by commas, newest first."""
    given = tuple(each.strip() for each in text.split(","))
    # A comma within one secret leaves parts that are too short to be secrets.
    return given if min(map(len, given)) >= MIN_OLD_CHARS else (text,)


class _File(BaseModel):
    secrets: list[str]


def given_secrets(text: str, *, worker: str | None = None) -> Secrets:
    """Return the secrets that an operator keeps himself, in `text`, separated by commas, newest first.

    Raises:
        ConfigError: one is too short to be one.
    """
    masters = tuple(each.strip() for each in text.split(","))
    if any(len(each) < MIN_CHARS for each in masters):
        raise ConfigError(
            f"a secret in coordinator.secret has fewer than {MIN_CHARS} characters; use `openssl rand -hex 32`"
        )
    return Secrets(masters, worker)


def kept_secrets(folder: Path, *, worker: str | None = None) -> Secrets:
    """Return the secrets of a data folder, made on first use in a file that only its owner can read.

    Raises:
        ConfigError: others may read the file, or it is not ours.
    """
    path = folder / FILE_NAME
    if not path.exists():
        _make(path)
    return Secrets(_read(path), worker)


def _make(path: Path) -> None:
    """Create the file under another name and link it: two processes that start at once read the same secret."""
    body = {"secrets": [secrets.token_urlsafe(MIN_CHARS)]}
    aside = path.with_name(f".{FILE_NAME}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(json.dumps(body) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
        finally:
            aside.unlink()
    except OSError as error:
        raise ConfigError(
            f"cannot create {path} ({error.strerror}); make its folder writable, or set coordinator.secret"
        ) from error


def _read(path: Path) -> tuple[str, ...]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path} ({type(error).__name__}); make it readable for this user") from error
    if os.name == "posix" and mode & 0o077:
        raise ConfigError(f"{path} can be read by others (mode {mode:04o}); run `chmod 600 {path}`")
    found = _listed(text)
    if not found or any(len(each) < MIN_CHARS for each in found):
        want = f'{{"secrets": ["…"]}}, newest first, each of {MIN_CHARS} characters or more'
        raise ConfigError(f"{path} holds no secrets; it is {want}")
    return found


def _listed(text: str) -> tuple[str, ...]:
    """Return the secrets of the file; none if its content is invalid."""
    try:
        return tuple(_File.model_validate_json(text).secrets)
    except ValidationError:
        return ()


def _derived(master: str, label: str) -> bytes:
    extracted = hmac.new(_SALT, master.encode(), hashlib.sha256).digest()
    return hmac.new(extracted, f"livereactor {label}".encode() + b"\x01", hashlib.sha256).digest()


def _text(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode().rstrip("=")
