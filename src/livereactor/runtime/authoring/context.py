"""What the runtime hands to a model: its Session, its Clients, uploaded files, the configuration of `load`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from livereactor.protocol.types import File
from livereactor.runtime.authoring.messages import message_out
from livereactor.runtime.interfaces import ReceivedFile

if TYPE_CHECKING:
    from PIL.Image import Image

    from livereactor.runtime.authoring.host import ModelHost, SessionMark
    from livereactor.runtime.authoring.messages import Message
    from livereactor.runtime.interfaces import ClientInfo, Role


class Client:
    """One Connection, as handlers and hooks see it.

    Attributes:
        id: its number, 1001 to 9999.
        role: `owner`, or `viewer` who only watches.
        joined_at: Unix seconds.
    """

    def __init__(self, info: ClientInfo, host: ModelHost, mark: SessionMark | None = None) -> None:
        self.id: int = info.id
        self.role: Role = info.role
        self.joined_at: float = info.joined_at
        self._host, self._mark = host, mark

    def send(self, message: Message) -> None:
        """Send a Message to this client only. From any thread; nothing once its Session is over."""
        self._host.send(message_out(message), self.id, self._mark)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Client) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"Client(id={self.id}, role={self.role!r})"


@dataclass(slots=True)
class Session:
    """One run of the model for one account.

    Attributes:
        id: as in every log record.
        extra_args: what the client asked for when it started the Session; any JSON, unchecked.
        clients: who is connected now, by connection id.
        stepped: one `yield` per client request; nothing streams.
    """

    id: str
    extra_args: Mapping[str, Any] = field(default_factory=dict[str, Any])
    clients: dict[int, Client] = field(default_factory=dict[int, Client])
    stepped: bool = False


@dataclass(frozen=True, slots=True)
class UploadedFile(File):
    """An uploaded file: what a command's argument annotated `lr.File` receives.

    Attributes:
        name: the client's name for it; not a path.
        mime_type: what the client said it is.
        data: its bytes.
    """

    name: str
    mime_type: str
    data: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)

    def image(self) -> Image:
        """The picture in it, RGB and upright; needs Pillow.

        Raises:
            CommandError: `not_an_image`: the bytes are no picture that Pillow can read.
        """
        from PIL import Image, ImageOps, UnidentifiedImageError

        from livereactor.base.errors import CommandError

        try:
            return ImageOps.exif_transpose(Image.open(io.BytesIO(self.data))).convert("RGB")
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
            raise CommandError("not_an_image", f"{self.name!r} is not a picture; send a PNG or JPEG") from error

    def text(self) -> str:
        """The text in it, UTF-8.

        Raises:
            CommandError: `not_text`: the bytes are not UTF-8.
        """
        from livereactor.base.errors import CommandError

        try:
            return self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise CommandError("not_text", f"{self.name!r} is not UTF-8 text; save it as UTF-8") from error

    def save(self, path: str | Path) -> Path:
        """Write the bytes to `path` and return it."""
        target = Path(path)
        target.write_bytes(self.data)
        return target


def uploaded_file(file: ReceivedFile) -> UploadedFile:
    """An Upload as authors see it: without its id, which is no business of a model."""
    return UploadedFile(file.name, file.mime_type, file.data)


def for_author(value: Any) -> Any:
    """Received files as authors see them, wherever a list or dict holds one."""
    match value:
        case ReceivedFile():
            return uploaded_file(value)
        case list():
            return [for_author(each) for each in cast("list[Any]", value)]
        case dict():
            return {name: for_author(each) for name, each in cast("dict[str, Any]", value).items()}
        case _:
            return value


class ModelConfig(Mapping[str, Any]):
    """What `load(self, config)` gets: `[model]` of `livereactor.toml`, merged with `--set` and the environment.

    Attributes:
        path: the file it came from, None without one.
    """

    def __init__(self, values: Mapping[str, Any], path: Path | None = None) -> None:
        self._values = dict(values)
        self.path = path

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"ModelConfig({self._values!r}, path={self.path!r})"
