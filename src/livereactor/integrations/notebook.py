"""A live model in a notebook: `pip install livereactor[notebook]`.

The frames come from the Python client over the notebook's own channel, as JPEG: so they are seen wherever the notebook
is (a remote kernel, an editor, a hosted one), and the program has the same frames and the same Session.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import anywidget
import cv2
import traitlets

from livereactor.base.errors import LivereactorError
from livereactor.client._sync.loop import HandlerThread
from livereactor.client.commands import in_order
from livereactor.media.frames import Pixels
from livereactor.protocol.openapi import from_openapi
from livereactor.protocol.schema import CommandSchema, ModelSchema
from livereactor.protocol.types import (
    REQUIRED,
    BoolType,
    Bounds,
    ChoiceType,
    Field,
    FileType,
    FloatType,
    IntType,
    OptionalType,
    StrType,
    Type,
)

if TYPE_CHECKING:
    from livereactor.client._sync.generated.reactor import SyncReactor

# A model's Commands as plain descriptions of controls, for a page to draw.


def controls(schema: ModelSchema, order: Sequence[str] = ()) -> list[dict[str, Any]]:
    """One entry per Command, as JSON; those that take files are left out.

    Args:
        order: names of Commands as the author wrote them: on the wire a schema has none.

    Each has `command`, `title`, `description`, `live` (one field, to be sent as it moves) and `fields`: `name`, `kind`
    (`number`, `whole`, `switch`, `choice`, `text`, `color` or `json`), `value`, `description`, and where they apply
    `min`, `max`, `step` and `values`.
    """
    places = {name: place for place, name in enumerate(order)}
    commands = sorted(schema.commands, key=lambda command: places.get(command.name, len(places)))
    return [_control(command) for command in commands if not any(_takes_file(each) for each in command.fields)]


def _control(command: CommandSchema) -> dict[str, Any]:
    fields = [_field(each) for each in in_order(command)]
    live = len(fields) == 1 and command.name == f"set_{fields[0]['name']}" and fields[0]["kind"] != "json"
    title = (command.fields[0].name if live else command.name).replace("_", " ")
    return {
        "command": command.name,
        "title": title,
        "description": command.description or (command.fields[0].description if live else ""),
        "live": live,
        "fields": fields,
    }


def _field(field: Field) -> dict[str, Any]:
    value = None if field.default is REQUIRED else field.default
    described = {"name": field.name, "value": value, "description": field.description}
    kind = field.type.inner if isinstance(field.type, OptionalType) else field.type
    match kind:
        case BoolType():
            return described | {"kind": "switch"}
        case FloatType(bounds):
            return described | {"kind": "number"} | _range(bounds, "any")
        case IntType(bounds):
            return described | {"kind": "whole"} | _range(bounds, 1)
        case ChoiceType(values):
            return described | {"kind": "choice", "values": list(values)}
        case StrType():
            return described | {"kind": "color" if field.hints.get("format") == "color" else "text"}
        case _:
            return described | {"kind": "json"}


def _range(bounds: Bounds, step: float | str) -> dict[str, Any]:
    low = bounds.gt if bounds.ge is None else bounds.ge
    high = bounds.lt if bounds.le is None else bounds.le
    found = {"min": low, "max": high, "step": bounds.multiple_of or step}
    return {name: value for name, value in found.items() if value is not None}


def _takes_file(field: Field) -> bool:
    kind: Type = field.type.inner if isinstance(field.type, OptionalType) else field.type
    return isinstance(kind, FileType)


_HERE: Final = Path(__file__).parent
PATIENCE: Final = 0.2  # seconds for a frame to be taken; a page that is busy, or a cell that runs, gets five a second
QUALITY: Final = 80  # of JPEG, as photographs have it: some 40 KB for 640x360


class ReactorWidget(anywidget.AnyWidget):
    """The picture and the controls of one client, as the last line of a cell.

    It follows the client through connect, reconnect and disconnect, and leaves all three to the program. A new frame is
    sent when the page has taken the last one, and always the newest.

    Args:
        reactor: the client; connected or not.
        track: the output track to show.

    Attributes:
        status: as the client has it.
        frames: how many were sent to the page.
    """

    _esm = _HERE / "notebook.js"
    _css = _HERE / "notebook.css"

    status = traitlets.Unicode("disconnected").tag(sync=True)
    problem = traitlets.Unicode("").tag(sync=True)
    controls: Any = cast(Any, traitlets).List().tag(sync=True)

    def __init__(self, reactor: SyncReactor, *, track: str = "main_video") -> None:
        super().__init__()
        self.frames = 0
        self._reactor = reactor
        self._taken = threading.Event()
        self._commands = HandlerThread()  # a cell that runs must not wait for a Command, nor the other way round
        self._closed = False
        cast(Any, self).on_msg(self.receive)
        reactor.on("status_changed", self._status, replay=True)
        reactor.on("schema_received", self._schema, replay=True)
        reactor.on("error", self._error)
        self._track = reactor.track(track)
        self._track.on_frame(self._show)

    def close(self) -> None:
        """Take it off the page; the client goes on."""
        self._closed = True
        self._taken.set()
        self._reactor.off("status_changed", self._status)
        self._reactor.off("schema_received", self._schema)
        self._reactor.off("error", self._error)
        self._track.off_frame(self._show)
        super().close()

    def _status(self, status: str) -> None:
        self.status = str(status)
        if status == "ready":
            self.problem = ""

    def _schema(self, document: dict[str, Any]) -> None:
        capabilities = self._reactor.capabilities
        order = [] if capabilities is None else [command.name for command in capabilities.commands]
        self.controls = controls(from_openapi(document), order)

    def _error(self, error: LivereactorError) -> None:
        self.problem = str(error)

    def _show(self, pixels: Pixels) -> None:
        """Show a frame; wait up to `PATIENCE` for the page. Runs on the track's thread, which skips to the newest."""
        if self._closed:
            return
        bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        encoded, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not encoded:
            return
        self._taken.clear()
        self.frames += 1
        self._tell({"kind": "frame"}, [data.tobytes()])
        self._taken.wait(PATIENCE)

    def receive(self, _: object, content: dict[str, Any], buffers: object) -> None:
        """Handle a message from the page: a frame was taken, or a command is to be sent."""
        match content:
            case {"kind": "taken"}:
                self._taken.set()
            case {"kind": "command", "name": str(name), "data": dict(), "id": int(number)}:
                data: dict[str, Any] = content["data"]
                self._commands.submit(lambda: self._run(name, data, number))
            case _:
                pass

    def _run(self, name: str, data: dict[str, Any], number: int) -> None:
        answer: dict[str, Any] = {"kind": "outcome", "id": number, "ok": True, "text": ""}
        try:
            reply = self._reactor.send_command(name, data)
            answer["text"] = "" if reply is None else str(reply["data"])
        except (LivereactorError, TypeError, ValueError) as error:
            answer |= {"ok": False, "text": str(error)}
        self._tell(answer)

    def _tell(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        cast(Any, self).send(content, buffers)
