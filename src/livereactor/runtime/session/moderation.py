"""Moderation of one runtime's Session: what clients send is judged before the model gets it. Loop only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog

from livereactor.base.errors import LivereactorError
from livereactor.base.limits import Limits
from livereactor.base.sparse_log import SparseLog
from livereactor.moderation.port import FileInQuestion, Question, TextInQuestion, Verdict
from livereactor.moderation.verdicts import error_of, notice_of
from livereactor.protocol.http import ModerationTerms, StartSession
from livereactor.protocol.messages import Moderation as Notice
from livereactor.protocol.moderated import Content, Texts, content_of, has_marks, texts_of_start
from livereactor.protocol.schema import ModelSchema
from livereactor.runtime.interfaces import ReceivedFile
from livereactor.runtime.options import Moderated

log = SparseLog(structlog.get_logger("livereactor.moderation"))


class Moderation:
    """The judging of one runtime's Sessions.

    Args:
        options: who judges; None = nobody, and everything passes at once.
        model: its name.

    Attributes:
        applies: somebody is asked in the Session that runs.
    """

    def __init__(self, options: Moderated | None, model: str, limits: Limits) -> None:
        self._options, self._model = options, model
        self._places = asyncio.Semaphore(limits.moderation_questions)
        self._terms: ModerationTerms | None = None
        self.applies = False
        self._session, self._account = "", ""
        self._passed: set[str] = set()  # uploads of this Session that have been judged
        self._offence: tuple[int, Notice] | None = None  # for which this Session ends

    def begin(self, session: str, account: str, terms: ModerationTerms | None, schema: ModelSchema) -> None:
        """Begin a Session; `terms` are its own, where the options have none."""
        self._session, self._account, self._passed, self._offence = session, account, set(), None
        if self._options is not None:
            self._terms = self._options.terms or terms
        self.applies = self._terms is not None
        if self._terms is not None and self._terms.fields == "marked" and not has_marks(schema):
            log.warning(
                "moderation is asked about no command: the model marks no argument",
                model=self._model,
                todo='set [moderation] fields = "all", or mark arguments with moderate=True',
            )

    def contents(self, schema: ModelSchema, calls: Iterable[tuple[str, Mapping[str, Any]]]) -> tuple[Content, ...]:
        """Return what has to be judged before calls, as (command, checked arguments), may run."""
        everything = self._terms is not None and self._terms.fields == "all"
        found = (content_of(schema.command(name), arguments, everything=everything) for name, arguments in calls)
        return tuple(each for each in found if each is not None)

    async def judge(
        self, contents: Sequence[Content], files: Mapping[str, ReceivedFile]
    ) -> tuple[LivereactorError | None, list[Notice]]:
        """Return the error that the sender gets in place of its calls' outcome, and the notices for it."""
        notices: list[Notice] = []
        for content in contents:
            questions = [self._about(content.command, content.texts)] if content.texts else []
            questions += [self._about_file(content.command, files[each]) for each in content.uploads]
            for question in questions:
                if (error := await self._judged(question, notices)) is not None:
                    return error, notices
        return None, notices

    async def judge_upload(self, file: ReceivedFile) -> tuple[LivereactorError | None, list[Notice]]:
        """Return the same for a file that no command names; it is judged whatever its mark would be."""
        notices: list[Notice] = []
        if self._terms is None:
            return None, notices
        return await self._judged(self._about_file("", file), notices), notices

    async def must_allow_start(self, body: StartSession) -> None:
        """Raise the error that a client gets whose Session may not start with these texts."""
        options = self._options
        if options is None or options.terms is None or not (texts := texts_of_start(body)):
            return
        question = Question(body.session_id or "", body.account, self._model, "", _texts(texts))
        verdict = await options.judge.judge(question, options.terms.on_failure)
        if (error := error_of(verdict)) is not None:
            raise error

    def offended(self, connection: int, notice: Notice) -> None:
        """Keep the Connection whose content ends the Session, and the notice for it."""
        self._offence = (connection, notice)

    def end_notice(self, connection: int, reason: str) -> Notice:
        """Return the end of a moderated Session for a Connection; only the offender is told which content it was."""
        if self._offence is not None and self._offence[0] == connection:
            return self._offence[1]
        return Notice("terminate", message=reason)

    async def _judged(self, question: Question, notices: list[Notice]) -> LivereactorError | None:
        options, terms, file = self._options, self._terms, question.file
        if options is None or terms is None or (file is not None and file.upload_id in self._passed):
            return None
        passed = self._passed  # of this Session: another one may have begun when the verdict is there
        async with self._places:
            verdict: Verdict = await options.judge.judge(question, terms.on_failure)
        if (notice := notice_of(verdict, question)) is not None:
            notices.append(notice)
        error = error_of(verdict)
        if file is not None and error is None and verdict.is_judged:
            passed.add(file.upload_id)
        return error

    def _about(self, command: str, texts: Texts) -> Question:
        return Question(self._session, self._account, self._model, command, _texts(texts))

    def _about_file(self, command: str, file: ReceivedFile) -> Question:
        about = FileInQuestion(file.upload_id, file.name, file.mime_type, len(file.data), file.data)
        return Question(self._session, self._account, self._model, command, file=about)


def _texts(texts: Texts) -> tuple[TextInQuestion, ...]:
    return tuple(TextInQuestion(path, text) for path, text in texts)
