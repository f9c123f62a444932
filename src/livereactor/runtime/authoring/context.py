"""The objects that the runtime hands to a model: its Session, its Clients, uploaded files, and its configuration."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from livereactor.base.errors import CommandError
from livereactor.base.limits import Limits
from livereactor.protocol.types import File
from livereactor.runtime.authoring.messages import message_out
from livereactor.runtime.interfaces import ReceivedFile

if TYPE_CHECKING:
    from PIL.Image import Image

    from livereactor.runtime.authoring.host import ModelHost, SessionMark
    from livereactor.runtime.authoring.messages import Message
    from livereactor.runtime.interfaces import ClientInfo, Role

# Pictures only: Pillow also reads formats that run a program (EPS: Ghostscript) and many that nobody uploads.
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "HEIF")


class Client:
    """A connected client, as commands and hooks receive it.

    Attributes:
        id: number of the Connection, 1001 to 9999.
        role: `owner`, or `viewer` for a client that only watches.
        joined_at: when it connected, in Unix seconds.
    """

    def __init__(self, info: ClientInfo, host: ModelHost, mark: SessionMark | None = None) -> None:
        self.id: int = info.id
        self.role: Role = info.role
        self.joined_at: float = info.joined_at
        self._host, self._mark = host, mark

    def send(self, message: Message) -> None:
        """Send a Message to this client only. Any thread may call it; after the Session it does nothing."""
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
        id: the Session's id, as in every log record.
        extra_args: the `extra_args` of the request that started the Session; any JSON, unchecked.
        clients: the connected clients by connection id.
        stepped: each `yield` answers one request of a client, and nothing streams.
    """

    id: str
    extra_args: Mapping[str, Any] = field(default_factory=dict[str, Any])
    clients: dict[int, Client] = field(default_factory=dict[int, Client])
    stepped: bool = False


@dataclass(frozen=True, slots=True)
class UploadedFile(File):
    """An uploaded file: the value of a command's argument annotated `lr.File`.

    Attributes:
        name: the client's name for the file; not a path.
        mime_type: the type that the client declared, unchecked.
        data: the bytes.
        image_pixels: most that a picture may have for `image()`; the operator sets it.
    """

    name: str
    mime_type: str
    data: bytes = field(repr=False)
    image_pixels: int = field(default=Limits().image_pixels, repr=False, compare=False)

    @property
    def size(self) -> int:
        """Size in bytes."""
        return len(self.data)

    def image(self) -> Image:
        """Decode the file to a `PIL.Image`, mode RGB, turned upright. Needs Pillow.

        The size is read from the header and checked before a pixel is decoded.

        Raises:
            CommandError: code `not_an_image`, where the bytes are no picture of a known format; `image_too_large`,
                where it has more than `image_pixels`.
        """
        from PIL import Image, ImageOps

        Image.init()  # finds the formats that this Pillow has
        formats = [each for each in _FORMATS if each in Image.OPEN]
        try:
            with Image.open(io.BytesIO(self.data), formats=formats) as picture:
                self._check_size(picture.width * picture.height)
                ImageOps.exif_transpose(picture, in_place=True)
                self._check_size(picture.width * picture.height)  # a file may hold more than its header says
                return picture.convert("RGB")
        except Image.DecompressionBombError as error:  # Pillow's own bound, 179 megapixels
            raise CommandError("image_too_large", f"{self.name!r}: {error}; send a smaller picture") from error
        except CommandError:
            raise
        except Exception as error:  # Pillow lets ValueError, SyntaxError, struct.error and others out
            raise CommandError("not_an_image", f"{self.name!r} is not a picture; send a PNG or JPEG") from error

    def _check_size(self, pixels: int) -> None:
        if pixels > self.image_pixels:
            has, most = (f"{each / 1e6:,.1f}" for each in (pixels, self.image_pixels))
            text = f"{self.name!r} has {has} megapixels and {most} are taken (image_pixels); send a smaller picture"
            raise CommandError("image_too_large", text)

    def text(self) -> str:
        """Decode the file as UTF-8 text.

        Raises:
            CommandError: code `not_text`, where the bytes are not UTF-8.
        """
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
    """Return an Upload as authors see it, without its id."""
    return UploadedFile(file.name, file.mime_type, file.data, file.image_pixels)


def for_author(value: Any) -> Any:
    """Return `value` with each received file as authors see it, in lists and dicts too."""
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
    """The argument of `load(self, config)`: a read-only mapping of the model's settings.

    It has the table `[model]` of `livereactor.toml`, merged with `--set` and the environment: `config["steps"]`,
    `config.get("seed", 0)`.

    Attributes:
        path: the configuration file; None without one.
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
