"""A worker's moderator: its coordinator, which holds the operator's settings. Loop only.

The process of a model thus knows neither the URL of the moderator nor the secret that signs requests to it. Bytes of
files are not sent: the coordinator has them.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import httpx2

from livereactor.moderation.port import NotAskedError, NoVerdictError, Question, Verdict, VerdictAction
from livereactor.protocol.moderated import ROUTE, JudgedBody, QuestionBody, QuestionText

TIMEOUT: Final = 95.0  # seconds of silence; a coordinator has decided before, with an answer or without one
_TOO_MUCH: Final = (413, 429)


class RelayModerator:
    """Asks a coordinator.

    Args:
        base_url: of the coordinator.
        secret: the worker's credential.
        client: for tests; closed with this.
    """

    def __init__(self, base_url: str, secret: str, *, client: httpx2.AsyncClient | None = None) -> None:
        self._http = client or httpx2.AsyncClient(
            base_url=base_url.rstrip("/"), headers={"Authorization": f"Bearer {secret}"}, timeout=TIMEOUT
        )

    async def ask(self, question: Question) -> Verdict:
        """Return the verdict; raises `NoVerdictError`."""
        asked = QuestionBody(
            command=question.command,
            texts=[QuestionText(field=each.path, text=each.text) for each in question.texts],
            upload_id=None if question.file is None else question.file.upload_id,
        )
        try:
            path = ROUTE.format(sid=quote(question.session, safe=""))
            answer = await self._http.post(path, content=asked.model_dump_json(exclude_none=True))
            if answer.status_code in _TOO_MUCH:
                raise NotAskedError(f"the coordinator answered status {answer.status_code}")
            if answer.status_code != 200:
                raise NoVerdictError(f"the coordinator answered status {answer.status_code}")
            judged = JudgedBody.model_validate_json(answer.content)
        except httpx2.HTTPError as error:
            raise NoVerdictError(f"the coordinator cannot be asked ({type(error).__name__})") from None
        except ValueError:
            raise NoVerdictError("the coordinator's answer is no verdict") from None
        return Verdict(VerdictAction(judged.action), judged.message, tuple(judged.categories), judged.code)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
