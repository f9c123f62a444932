"""A Session run again from its journal: the same model, the same things done to it before the same steps, no network.

As fast as the model can, on the caller's thread. A model that is deterministic gives the same pictures; one that looks
at a clock, at chance without a seed, or at its inputs, does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livereactor.base.errors import InvalidCommandError, LivereactorError, UsageError
from livereactor.protocol.contract import contract_hash
from livereactor.protocol.schema import arguments_with_files, validate_arguments
from livereactor.runtime.authoring.emission import Emission
from livereactor.runtime.authoring.inputs import InputQueue
from livereactor.runtime.authoring.model import Model
from livereactor.runtime.execution.runner import ModelRunner, StepMade, StreamError
from livereactor.runtime.execution.weight_fetching import fetch
from livereactor.runtime.interfaces import Call, ClientInfo, ModelEvent, ReceivedFile, SessionStart
from livereactor.runtime.replay.journal_format import (
    ClientJoined,
    ClientLeft,
    CommandRan,
    Entry,
    FileArrived,
    FileDigest,
    OutputsWanted,
    PictureDigest,
    SessionJournal,
    digest_of,
)
from livereactor.runtime.replay.journal_writer import picture_of

FileBytes = Callable[[FileDigest], bytes]


class ReplayError(LivereactorError):
    """The model failed in the replay; the message says at which step."""

    code = "replay_failed"


@dataclass(frozen=True, slots=True)
class StepAgain:
    """One step, made again.

    Attributes:
        number: counts from 1.
        at: seconds of media time at which it was made then; `until`: at which the next one was.
        emission: what it gave, by track.
        same: its picture is the one of then; None where that is not known.
    """

    number: int
    at: float
    until: float
    emission: Emission
    same: bool | None


class Rerun:
    """One journal on one model; fits the ModelRunner's `RunnerHost`.

    Args:
        journal: as read.
        config: what `load(self, config)` gets; `path`: the file it came from.
        files: gives the bytes of a file that the Session was given, or raises.

    Attributes:
        notices: why it may come out otherwise than then, a sentence each; more may come while it runs.
    """

    def __init__(
        self,
        model: type[Model],
        journal: SessionJournal,
        *,
        config: Mapping[str, Any],
        path: Path | None = None,
        files: FileBytes,
    ) -> None:
        self._journal, self._files = journal, files
        self._runner = ModelRunner(model, self, config=config, path=path)
        self._before, self._within = defaultdict[int, list[Entry]](list), defaultdict[int, list[Entry]](list)
        self._shown: dict[int, PictureDigest] = {}
        for entry in journal.entries:
            if isinstance(entry.what, PictureDigest):
                self._shown[entry.step] = entry.what
            else:
                (self._within if entry.within else self._before)[entry.step].append(entry)
        self._wanted: tuple[str, ...] = ()
        self._step = 0
        self.notices = [*journal.notices, *self._compared()]

    def load(self) -> None:
        """Fetch the weights and load the model.

        Raises:
            ModelLoadError: as the runtime would.
        """
        for weights in self._runner.definition.weights:
            fetch(weights, self._runner.progress)
        self._runner.load()

    def steps(self) -> Iterator[StepAgain]:
        """Every step in order.

        Raises:
            ReplayError: the model failed, in `open` or in a step.
            UsageError: a command is none of this model's, or a file is not there.
        """
        times = step_times(self._journal)
        try:
            self._open()
            for number in range(1, self._journal.steps + 1):
                self._step = number
                for entry in self._before.pop(self._step, ()):
                    self._do(entry)
                made = self._made()
                if made is None:
                    return
                at, until = float(times[number]), float(times[number + 1])
                yield StepAgain(number, at, until, made.emission, self._is_same(made.emission))
            if (end := self._journal.end) is not None and end.failed:
                self.notices.append(f"then the model failed at step {self._step}; now it did not")
        finally:
            self._runner.shut()

    # --- RunnerHost: what the model asks for -------------------------------------------------------------------------

    def publish(self, event: ModelEvent) -> None: ...  # nobody listens: what it said then is not kept

    def wanted(self, track: str) -> bool:
        return track in self._wanted

    def retuned(self, track: str) -> None: ...
    def flush(self, track: str) -> None: ...

    def wait_input(self, queue: InputQueue, timeout: float | None) -> bool:
        for entry in self._within.pop(self._step, ()):
            self._do(entry)
        if timeout is None:
            raise GeneratorExit
        return False

    # --- inner -------------------------------------------------------------------------------------------------------

    def _compared(self) -> Iterator[str]:
        """Yield a sentence for each way in which the model is not as it was.

        Raises:
            UsageError: it is another model.
        """
        then, schema = self._journal.header, self._runner.definition.schema
        if schema.name != then.model:
            raise UsageError(
                f"the session ran the model {then.model!r}, this is {schema.name!r}; pass the right one with --model"
            )
        if contract_hash(schema) != then.contract:
            yield (
                f"the model's contract has changed since (version {then.model_version} then, {schema.version} now): "
                "its pictures may differ"
            )
        if then.not_kept:
            yield (
                f"what clients sent on {', '.join(then.not_kept)} is not kept: "
                "the model runs without it, so its pictures may differ"
            )

    def _open(self) -> None:
        then = self._journal.header
        try:
            self._runner.open(SessionStart(then.session, then.extra_args, then.generation == "stepped"))
        except StreamError as error:
            raise ReplayError(f"the model could not open the session: {error}") from error
        params = self._runner.definition.params
        for name, value in then.params.items():
            if name not in params:
                self.notices.append(f"the parameter {name!r} no longer exists")
            elif params[name].field.default != value:
                self._run(CommandRan(command=f"set_{name}", arguments={name: value}, client=0), step=1)

    def _do(self, entry: Entry) -> None:
        match entry.what:
            case CommandRan() as command:
                self._run(command, entry.step)
            case ClientJoined(client=client, role=role, joined_at=joined):
                self._runner.join(ClientInfo(client, role, joined))
            case ClientLeft(client=client, role=role, joined_at=joined):
                self._runner.leave(ClientInfo(client, role, joined))
            case OutputsWanted(tracks=tracks):
                self._wanted = tracks
            case FileArrived(upload_id=upload, file=file):
                self._runner.uploaded(self._file(upload, file, entry.step))
            case _:
                pass

    def _run(self, command: CommandRan, step: int) -> None:
        try:
            schema = self._runner.definition.schema.command(command.command)
            checked = validate_arguments(schema, command.arguments)
        except InvalidCommandError as error:
            raise UsageError(f"before step {step}: {error.message}; replay it with the model as it was") from error
        files = {upload: self._file(upload, file, step) for upload, file in command.files.items()}
        call = Call(command.command, arguments_with_files(schema, checked, files) if files else checked)
        try:
            self._runner.call(call, ClientInfo(command.client, command.role, 0.0), lambda _: None)
        except LivereactorError:
            return  # refused or failed, as then: the model's log says so, and it goes on

    def _file(self, upload: str, file: FileDigest, step: int) -> ReceivedFile:
        try:
            data = self._files(file)
        except UsageError as error:
            raise UsageError(f"before step {step}: {error.message}") from error
        return ReceivedFile(upload, file.name, file.mime_type, data)

    def _made(self) -> StepMade | None:
        """A step; None where the model makes no more."""
        at = f"step {self._step} of {self._journal.steps}"
        try:
            made = self._runner.step()
        except StreamError as error:
            end = self._journal.end
            then = end is not None and end.failed and self._journal.steps == self._step
            raise ReplayError(f"the model failed at {at}{', as it did then' if then else ''}: {error}") from error
        except GeneratorExit:
            self.notices.append(f"at {at} the model waits for input, which is not recorded: the replay ends there")
            return None
        if made.ended:
            self.notices.append(f"the model's stream ended before {at}; in the recording it continued")
            return None
        return made

    def _is_same(self, emission: Emission) -> bool | None:
        then = self._shown.get(self._step)
        if then is None:
            return None
        now = picture_of(self._runner.definition, emission)
        return now is not None and (now[0], digest_of(now[1])) == (then.track, then.digest)


OWN_RATE: Final = 30.0  # frames a second, where the model has its own rate and the journal does not tell
LEAST: Final = 1e-3  # seconds between two steps


def step_times(journal: SessionJournal) -> NDArray[np.float64]:
    """Seconds by step: index 0 is unused, index `journal.steps + 1` is when the last step's pictures are over.

    Increasing from index to index.
    """
    count, interval = journal.steps + 2, 1 / (journal.header.fps or OWN_RATE)
    marks = {each.step: each.at for each in journal.entries if isinstance(each.what, PictureDigest)} or {1: 0.0}
    first, last = min(marks), max(marks)
    numbers = np.arange(count, dtype=np.float64)
    times = np.interp(numbers, sorted(marks), [marks[each] for each in sorted(marks)])
    times[:first] = marks[first] + (numbers[:first] - first) * interval
    times[last + 1 :] = marks[last] + (numbers[last + 1 :] - last) * interval
    # Clocks of two threads may cross by a hair; a film takes no frame that is not after the last.
    return np.maximum.accumulate(times - numbers * LEAST) + numbers * LEAST
