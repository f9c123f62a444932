"""Moderation at the coordinator: it asks for its workers, so no model's process holds what opens the moderator.

A worker shows the texts that came to it, or names an upload, whose bytes are here. What a session starts with is judged
before there is a session.
"""

from __future__ import annotations

from livereactor.base.errors import NotFoundError
from livereactor.blobs import pieces
from livereactor.blobs.port import BlobKey, Blobs
from livereactor.coordinator.auth.caller import Caller
from livereactor.moderation.judge import Judge
from livereactor.moderation.port import FileInQuestion, Question, TextInQuestion, Verdict
from livereactor.moderation.verdicts import error_of
from livereactor.protocol.http import CreateSession, ModerationTerms
from livereactor.protocol.moderated import QuestionBody, texts_of_start
from livereactor.store.port import Store
from livereactor.store.records import SessionRecord


class Moderation:
    """The judging of all sessions of a coordinator.

    Args:
        judge: closed by whoever made it.
        terms: of every session.
    """

    def __init__(self, judge: Judge, terms: ModerationTerms, store: Store, blobs: Blobs) -> None:
        self._judge, self._terms, self._store, self._blobs = judge, terms, store, blobs

    async def must_allow_start(self, caller: Caller, asked: CreateSession) -> None:
        """Raise the error that a caller gets whose session may not start with these texts."""
        if not (texts := texts_of_start(asked)):
            return
        shown = tuple(TextInQuestion(path, text) for path, text in texts)
        question = Question("", caller.account, asked.model.name, "", shown)
        error = error_of(await self._judge.judge(question, self._terms.on_failure))
        if error is not None:
            raise error

    async def judge(self, session: SessionRecord, asked: QuestionBody) -> Verdict:
        """Return the verdict on what a client of a session sent; raises `NotFoundError` for no upload of it."""
        texts = tuple(TextInQuestion(each.field, each.text) for each in asked.texts)
        file = None if asked.upload_id is None else await self._file(session, asked.upload_id)
        question = Question(session.id, session.account, session.model, asked.command, texts, file)
        return await self._judge.judge(question, self._terms.on_failure)

    async def _file(self, session: SessionRecord, upload: str) -> FileInQuestion:
        slot = await self._store.read(lambda tx: tx.upload(upload))
        if slot is None or slot.session != session.id or not slot.landed:
            raise NotFoundError(f"no upload {upload[:64]!r} in session {session.id!r}")
        is_read = self._judge.takes(slot.size_bytes)
        data = await pieces.read(self._blobs, BlobKey.parse(slot.key), slot.size_bytes) if is_read else None
        return FileInQuestion(slot.id, slot.name, slot.mime_type, slot.size_bytes, data)
