"""The judge: asks a moderator, within bounds of time and number, and always has a verdict. Loop only."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import structlog

from livereactor.base.limits import MIB
from livereactor.base.sparse_log import SparseLog
from livereactor.moderation.port import Moderator, NotAskedError, NoVerdictError, Question, Verdict, VerdictAction
from livereactor.moderation.verdicts import Failure, OnFailure, without_answer

log = SparseLog(structlog.get_logger("livereactor.moderation"))


@dataclass(frozen=True, slots=True)
class JudgeBounds:
    """JudgeBounds of the questions to one moderator.

    Attributes:
        timeout: seconds for an answer, from the moment at which the question has its turn.
        concurrency: questions that the moderator has at once; more wait.
        queue: questions that wait, beyond which content is refused.
        file_bytes: the largest file that is asked about, beyond which it is refused; None = any.
    """

    timeout: float = 5.0
    concurrency: int = 32
    queue: int = 256
    file_bytes: int | None = 10 * MIB


class Judge:
    """A moderator within bounds.

    Args:
        moderator: closed with this.
    """

    def __init__(self, moderator: Moderator, bounds: JudgeBounds) -> None:
        self._moderator, self._bounds = moderator, bounds
        self._places = asyncio.Semaphore(bounds.concurrency)
        self._waiting = 0

    @property
    def timeout(self) -> float:
        """Seconds for an answer, and for which a question waits for its turn."""
        return self._bounds.timeout

    async def judge(self, question: Question, on_failure: OnFailure) -> Verdict:
        """Return the moderator's verdict, or the one that `on_failure` gives where there is none."""
        if (file := question.file) is not None and self._is_over(file.size_bytes):
            return self._without(Failure.TOO_LARGE, question, on_failure)
        if self._places.locked() and self._waiting >= self._bounds.queue:
            return self._without(Failure.BUSY, question, on_failure)
        self._waiting += 1
        try:
            # A question that no place was free for is one too many; the moderator has not failed.
            async with asyncio.timeout(self._bounds.timeout):
                await self._places.acquire()
        except TimeoutError:
            return self._without(Failure.BUSY, question, on_failure)
        finally:
            self._waiting -= 1
        try:
            async with asyncio.timeout(self._bounds.timeout):
                verdict = await self._moderator.ask(await _fetched(question))
        except TimeoutError:
            return self._without(Failure.TIMED_OUT, question, on_failure)
        except NotAskedError as error:
            return self._without(Failure.BUSY, question, on_failure, error.message)
        except NoVerdictError as error:
            return self._without(Failure.FAILED, question, on_failure, error.message)
        except Exception:
            log.exception("moderator failed", session=question.session)
            return without_answer(Failure.FAILED, on_failure)
        finally:
            self._places.release()
        if verdict.action is not VerdictAction.ALLOW:
            log.info(
                "content judged",
                apart=verdict.action,
                session=question.session,
                command=question.command,
                action=verdict.action.value,
                categories=list(verdict.categories),
            )
        return verdict

    async def aclose(self) -> None:
        """Close the moderator."""
        await self._moderator.aclose()

    def _is_over(self, size: int) -> bool:
        return self._bounds.file_bytes is not None and size > self._bounds.file_bytes

    def _without(self, failure: Failure, question: Question, on_failure: OnFailure, reason: str = "") -> Verdict:
        verdict = without_answer(failure, on_failure)
        log.warning(
            "content not judged",
            apart=failure,
            session=question.session,
            reason=f"{failure.value}: {reason}" if reason else failure.value,
            passed_on=verdict.action is VerdictAction.ALLOW,
        )
        return verdict


async def _fetched(question: Question) -> Question:
    """Return the question with the bytes of its file."""
    file = question.file
    if file is None or file.fetch is None:
        return question
    return replace(question, file=replace(file, data=await file.fetch(), fetch=None))
