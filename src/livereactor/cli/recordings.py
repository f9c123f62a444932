"""Sources of recordings and journals for `export` and `replay`: a file, this machine's storage, or a coordinator."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

from livereactor.base.errors import UnavailableError, UsageError
from livereactor.cli.admin import TIMEOUT, RemoteError
from livereactor.settings import resolve

if TYPE_CHECKING:
    import httpx2

    from livereactor.blobs.port import Blobs

ANSWER_CHARS: Final = 500  # shown of an error that is not in our JSON format


@dataclass(frozen=True, slots=True)
class RecordingSource:
    """The place to look for recordings, from the options of the same names."""

    data_dir: Path | None = None
    blobs: str | None = None
    coordinator: str | None = None
    key: str | None = field(default=None, repr=False)
    jwt: str | None = field(default=None, repr=False)

    def journal(self, session: str) -> bytes:
        """Read the journal of a session or recording id, or the journal in a file or folder of that name.

        Raises:
            UsageError: no such journal.
            UnavailableError: the coordinator or the store cannot be reached.
            RemoteError: the coordinator answered with an error.
        """
        from livereactor.runtime.replay.finding import journal_in, kept_journal

        if self.coordinator is not None:
            return _fetched(self.coordinator.rstrip("/"), session, self._credentials())
        if Path(session).exists():
            return journal_in(Path(session))
        blobs, where = self.opened(session)
        return asyncio.run(kept_journal(blobs, session, where))

    def opened(self, session: str) -> tuple[Blobs, str]:
        """Open the blobs that contain recordings; return them and their name for messages."""
        from livereactor.wiring.blobs import blobs_url, open_blobs

        given = {"coordinator.data_dir": self.data_dir, "blobs.url": self.blobs}
        settings = resolve(
            Path(), command_line={name: value for name, value in given.items() if value is not None}
        ).settings
        where = blobs_url(settings, settings.coordinator.data_dir.absolute() / "blobs")
        if "://" not in where and not Path(where).is_dir():
            raise UsageError(
                f"no file {session[:64]!r} and no recordings in {where}; pass a journal file, or use --data-dir, "
                "--blobs or --coordinator to say where the recordings are"
            )
        return open_blobs(where), where

    def _credentials(self) -> dict[str, str]:
        if jwt := self.jwt or (None if self.key else os.environ.get("LIVEREACTOR_JWT")):
            return {"Authorization": f"Bearer {jwt}"}
        key = self.key or os.environ.get("LIVEREACTOR_API_KEY")
        return {"Reactor-API-Key": key} if key else {}


def _fetched(url: str, session: str, credentials: dict[str, str]) -> bytes:
    import httpx2

    from livereactor.runtime.replay.journal_writer import JOURNAL_BYTES

    data, most = bytearray(), JOURNAL_BYTES * 2  # the last line may exceed the limit
    try:
        with httpx2.stream(
            "GET", f"{url}/sessions/{quote(session, safe='')}/journal", headers=credentials, timeout=TIMEOUT
        ) as answer:
            if not answer.is_success:
                answer.read()
                raise _refusal(answer, url, is_known=bool(credentials))
            for block in answer.iter_bytes():
                data += block
                if len(data) > most:
                    raise UsageError(
                        f"{url} answered with more than a journal can hold; check that it is a livereactor coordinator"
                    )
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise UsageError(f"{url!r} is not a URL; write https://host:port") from error
    except httpx2.TransportError as error:
        reason = str(error) or type(error).__name__
        raise UnavailableError(
            f"could not read the journal from {url} ({reason}); check that the coordinator is running"
        ) from error
    return bytes(data)


def _refusal(answer: httpx2.Response, url: str, *, is_known: bool) -> RemoteError | UsageError:
    from livereactor.blobs.journals import NoJournalError

    try:
        content: Any = answer.json()
    except ValueError:
        content = {"error": answer.text[:ANSWER_CHARS]}
    problem = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    text = str(problem.get("error") or f"{url} answered {answer.status_code}")
    if problem.get("code") == NoJournalError.code:
        return NoJournalError(text)
    if not is_known and answer.status_code in (401, 403):
        text += "; pass a key with --key or LIVEREACTOR_API_KEY, or a token with --jwt or LIVEREACTOR_JWT"
    return RemoteError(text, code=str(problem.get("code") or "SERVER_ERROR"))
