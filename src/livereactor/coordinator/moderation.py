"""Moderation at the coordinator: it asks for its workers, so no model's process holds what opens the moderator.

A worker shows the texts that came to it, or names an upload, whose bytes are here. What a session starts with is judged
before there is a session.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from livereactor.base.errors import NotFoundError, QuotaError
from livereactor.base.limits import Limits
from livereactor.blobs import pieces
from livereactor.blobs.port import BlobKey, Blobs
from livereactor.coordinator.auth.caller import Caller
from livereactor.moderation.judge import Judge
from livereactor.moderation.port import FileInQuestion, Question, TextInQuestion, Verdict
from livereactor.moderation.verdicts import RETRY_AFTER, error_of
from livereactor.protocol.http import CreateSession, ModerationTerms
from livereactor.protocol.moderated import QuestionBody, texts_of_start
from livereactor.store.port import Store
from livereactor.store.records import SessionRecord

TURNS: Final = 4  # questions of one account or session, for each that is asked at one time; the others wait


class Moderation:
    """The judging of all sessions of a coordinator.

    Args:
        judge: closed by whoever made it.
        terms: of every session.
    """

    def __init__(self, judge: Judge, terms: ModerationTerms, store: Store, blobs: Blobs, limits: Limits) -> None:
        self._judge, self._terms, self._store, self._blobs = judge, terms, store, blobs
        self._starts = _Turns("account", limits.moderation_questions, judge.timeout)
        self._sessions = _Turns("session", limits.moderation_questions, judge.timeout)

    def asks_about(self, asked: CreateSession) -> bool:
        """Return whether a session would start with texts to judge."""
        return bool(texts_of_start(asked))

    async def must_allow_start(self, caller: Caller, asked: CreateSession) -> None:
        """Raise the error that a caller gets whose session may not start with these texts.

        Raises:
            QuotaError: too many starts of the account are being judged.
        """
        shown = tuple(TextInQuestion(path, text) for path, text in texts_of_start(asked))
        question = Question("", caller.account, asked.model.name, "", shown)
        async with self._starts.turn(caller.account):
            verdict = await self._judge.judge(question, self._terms.on_failure)
        error = error_of(verdict)
        if error is not None:
            raise error

    async def judge(self, session: SessionRecord, asked: QuestionBody) -> Verdict:
        """Return the verdict on what a client of a session sent.

        Raises:
            NotFoundError: no such upload of the session.
            QuotaError: too many questions of the session wait.
        """
        texts = tuple(TextInQuestion(each.field, each.text) for each in asked.texts)
        file = None if asked.upload_id is None else await self._file(session, asked.upload_id)
        question = Question(session.id, session.account, session.model, asked.command, texts, file)
        async with self._sessions.turn(session.id):
            return await self._judge.judge(question, self._terms.on_failure)

    async def _file(self, session: SessionRecord, upload: str) -> FileInQuestion:
        slot = await self._store.read(lambda tx: tx.upload(upload))
        if slot is None or slot.session != session.id or not slot.landed:
            raise NotFoundError(f"no upload {upload[:64]!r} in session {session.id!r}")
        fetch = partial(pieces.read, self._blobs, BlobKey.parse(slot.key), slot.size_bytes)
        return FileInQuestion(slot.id, slot.name, slot.mime_type, slot.size_bytes, fetch=fetch)


@dataclass(slots=True)
class _Line:
    """The questions of one account or session: places to ask, and how many ask or wait."""

    places: asyncio.Semaphore
    held: int = 0


class _Turns:
    """Turns to ask the judge: a few at once for each account or session, so that none takes the places of others.

    Args:
        whose: "account" or "session", for refusals.
        most: asked at once for each.
        patience: seconds for which one waits.
    """

    def __init__(self, whose: str, most: int, patience: float) -> None:
        self._whose, self._most, self._patience = whose, most, patience
        self._lines: dict[str, _Line] = {}

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncGenerator[None]:
        """Hold one turn of an account or session; raises `QuotaError`."""
        line = self._lines.setdefault(name, _Line(asyncio.Semaphore(self._most)))
        if line.held >= TURNS * self._most:
            raise self._refusal(line)
        line.held += 1
        try:
            try:
                async with asyncio.timeout(self._patience):
                    await line.places.acquire()
            except TimeoutError:
                raise self._refusal(line) from None
            try:
                yield
            finally:
                line.places.release()
        finally:
            line.held -= 1
            if not line.held:
                del self._lines[name]

    def _refusal(self, line: _Line) -> QuotaError:
        return QuotaError(
            f"{line.held} questions of this {self._whose} wait for moderation, of which {self._most} are asked at a "
            f"time (moderation_questions); try again in {RETRY_AFTER:g} s",
            quota_type="moderation_questions",
            limit=self._most,
            current=line.held,
            retry_after=RETRY_AFTER,
        )
