"""A ModelRunner that notes what is done to its model, for the journal of the Session. On the model's thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from livereactor.media.frames import Sound
from livereactor.protocol.contract import contract_hash
from livereactor.runtime.authoring.definition import Definition
from livereactor.runtime.authoring.emission import Emission
from livereactor.runtime.authoring.inputs import InputQueue
from livereactor.runtime.execution.runner import ModelRunner, StepMade, StreamError
from livereactor.runtime.interfaces import Call, ClientInfo, MessageOut, ReceivedFile, SessionStart
from livereactor.runtime.replay.journal_format import (
    ClientJoined,
    ClientLeft,
    CommandRan,
    EntryBody,
    FileDigest,
    FileUploaded,
    JournalEnd,
    JournalHeader,
    OutputsWanted,
    PictureDigest,
    digest_of,
)
from livereactor.runtime.replay.journal_writer import JournalWriter

SHOWN_EVERY: Final = 1.0  # seconds between two pictures whose digest is kept


class NotedRunner(ModelRunner):
    """Notes each thing before it is done, so that what follows from it is no part of the journal.

    A Session without a sink in its `SessionStart` has no journal, and costs nothing here.
    """

    _journal: JournalWriter | None = None
    _step = 0  # the one that is made, or was last
    _within = False  # the model waits for input inside it
    _shown_at = float("-inf")
    _wants: frozenset[str] | None = None

    def open(self, start: SessionStart) -> None:
        self._step, self._within, self._shown_at, self._wants = 0, False, float("-inf"), None
        if start.journal is not None:
            header = header_of(self.definition, start, cast("Mapping[str, Any]", self._config))
            self._journal = JournalWriter(header, start.journal)
        try:
            super().open(start)
        except StreamError:
            self._put_away()
            raise

    def close(self) -> None:
        super().close()
        self._put_away()

    def call(self, call: Call, client: ClientInfo, answer: Callable[[MessageOut | None], None]) -> None:
        if self._journal is not None and self.session is not None:
            self._note(lambda: commanded(call, client), call.size)
        super().call(call, client, answer)

    def join(self, client: ClientInfo) -> None:
        self._note(lambda: ClientJoined(client=client.id, role=client.role, joined_at=client.joined_at))
        super().join(client)

    def leave(self, client: ClientInfo) -> None:
        self._note(lambda: ClientLeft(client=client.id, role=client.role, joined_at=client.joined_at))
        super().leave(client)

    def uploaded(self, file: ReceivedFile) -> None:
        self._note(lambda: FileUploaded(upload_id=file.upload_id, file=_file(file)))
        super().uploaded(file)

    def wants(self, tracks: frozenset[str]) -> None:
        """Outputs that somebody receives now; the same again is no news."""
        if self._journal is not None and tracks != self._wants:
            self._wants = tracks
            self._note(lambda: OutputsWanted(tracks=tuple(sorted(tracks))))

    def step(self) -> StepMade:
        self._step += 1
        try:
            made = super().step()
        except StreamError:
            self._put_away(failed=True)
            raise
        except GeneratorExit:  # the Session ends while the model waits for input: this step is never made
            self._step -= 1
            raise
        if made.ended:
            self._step -= 1
            self._put_away()
        elif self._journal is not None:
            self._show(self._journal, made.emission)
        return made

    def wait_input(self, queue: InputQueue, timeout: float | None) -> bool:
        self._within = True
        try:
            return super().wait_input(queue, timeout)
        finally:
            self._within = False

    # --- inner -------------------------------------------------------------------------------------------------------

    def _note(self, what: Callable[[], EntryBody], size: int = 0) -> None:
        if self._journal is not None:
            self._journal.note(self._step if self._within else self._step + 1, what, within=self._within, size=size)

    def _show(self, journal: JournalWriter, emission: Emission) -> None:
        now = time.monotonic()
        if now - self._shown_at < SHOWN_EVERY or (found := picture_of(self.definition, emission)) is None:
            return
        self._shown_at = now
        track, pixels = found
        journal.note(self._step, lambda: PictureDigest(track=track, digest=digest_of(pixels)), size=len(pixels))

    def _put_away(self, *, failed: bool = False) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.note(self._step, lambda: JournalEnd(failed=failed))
            journal.close()


def header_of(definition: Definition, start: SessionStart, config: Mapping[str, Any]) -> JournalHeader:
    """The first line of the journal of a Session that begins now."""
    seed = config.get("seed")
    return JournalHeader(
        session=start.id,
        started_us=time.time_ns() // 1000,
        model=definition.name,
        model_version=definition.schema.version,
        contract=contract_hash(definition.schema),
        generation="stepped" if start.stepped else "streamed",
        fps=definition.emission_fps,
        params={name: spec.field.default for name, spec in definition.params.items()},
        extra_args=dict(start.extra_args),
        seed=seed if isinstance(seed, int | float | str) else None,
        not_kept=tuple(definition.inputs),
    )


def commanded(call: Call, client: ClientInfo) -> CommandRan:
    """A call as it is kept: with references in place of files."""
    files: dict[str, FileDigest] = {}
    arguments = {name: _kept(value, files) for name, value in call.arguments.items()}
    return CommandRan(command=call.command, arguments=arguments, files=files, client=client.id, role=client.role)


def picture_of(definition: Definition, emission: Emission) -> tuple[str, bytes] | None:
    """The last picture of a step's first video track: its name and a copy of its pixels, RGB; None without one."""
    for track in definition.outputs:
        frames = emission.get(track.name)
        if frames and not isinstance(frames, Sound):
            # A copy: the model may draw into the array again before anybody has read it.
            return track.name, frames[-1].pixels.tobytes()
    return None


def _kept(value: Any, files: dict[str, FileDigest]) -> Any:
    match value:
        case ReceivedFile():
            files[value.upload_id] = known = _file(value)
            return {"upload_id": value.upload_id, **known.model_dump(include={"name", "mime_type", "size"})}
        case list():
            return [_kept(each, files) for each in cast("list[Any]", value)]
        case Mapping():
            return {name: _kept(each, files) for name, each in cast("Mapping[str, Any]", value).items()}
        case _:
            return value


def _file(file: ReceivedFile) -> FileDigest:
    return FileDigest(name=file.name, mime_type=file.mime_type, size=len(file.data), digest=digest_of(file.data))
