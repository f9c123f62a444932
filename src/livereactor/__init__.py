"""livereactor puts a real-time model, written as a Python class, on the network. Names are loaded when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from livereactor import errors
    from livereactor.base.errors import CommandError
    from livereactor.client._sync.generated.reactor import SyncReactor
    from livereactor.client.errors import ReactorError
    from livereactor.client.files.download import download_clip
    from livereactor.client.http.credentials import fetch_jwt
    from livereactor.client.reactor import Reactor
    from livereactor.client.tracks import devices
    from livereactor.client.types import FileRef, Status
    from livereactor.media.frames import Frame
    from livereactor.runtime.authoring.commands import command, param
    from livereactor.runtime.authoring.context import Client, Session
    from livereactor.runtime.authoring.context import UploadedFile as File
    from livereactor.runtime.authoring.messages import Message
    from livereactor.runtime.authoring.model import Model
    from livereactor.runtime.authoring.tracks import AudioIn, AudioOut, VideoIn, VideoOut, wait_for
    from livereactor.runtime.authoring.weights import Weights

__all__ = [
    "AudioIn",
    "AudioOut",
    "Client",
    "CommandError",
    "File",
    "FileRef",
    "Frame",
    "Message",
    "Model",
    "Reactor",
    "ReactorError",
    "Session",
    "Status",
    "SyncReactor",
    "VideoIn",
    "VideoOut",
    "Weights",
    "command",
    "devices",
    "download_clip",
    "errors",
    "fetch_jwt",
    "param",
    "wait_for",
]

# name → (module, its name there; empty = the module itself)
_HOMES: Final = {
    "AudioIn": ("livereactor.runtime.authoring.tracks", "AudioIn"),
    "AudioOut": ("livereactor.runtime.authoring.tracks", "AudioOut"),
    "Client": ("livereactor.runtime.authoring.context", "Client"),
    "CommandError": ("livereactor.base.errors", "CommandError"),
    "File": ("livereactor.runtime.authoring.context", "UploadedFile"),
    "FileRef": ("livereactor.client.types", "FileRef"),
    "Frame": ("livereactor.media.frames", "Frame"),
    "Message": ("livereactor.runtime.authoring.messages", "Message"),
    "Model": ("livereactor.runtime.authoring.model", "Model"),
    "Reactor": ("livereactor.client.reactor", "Reactor"),
    "ReactorError": ("livereactor.client.errors", "ReactorError"),
    "Session": ("livereactor.runtime.authoring.context", "Session"),
    "Status": ("livereactor.client.types", "Status"),
    "SyncReactor": ("livereactor.client._sync.generated.reactor", "SyncReactor"),
    "VideoIn": ("livereactor.runtime.authoring.tracks", "VideoIn"),
    "VideoOut": ("livereactor.runtime.authoring.tracks", "VideoOut"),
    "Weights": ("livereactor.runtime.authoring.weights", "Weights"),
    "command": ("livereactor.runtime.authoring.commands", "command"),
    "devices": ("livereactor.client.tracks.devices", ""),
    "download_clip": ("livereactor.client.files.download", "download_clip"),
    "errors": ("livereactor.errors", ""),
    "fetch_jwt": ("livereactor.client.http.credentials", "fetch_jwt"),
    "param": ("livereactor.runtime.authoring.commands", "param"),
    "wait_for": ("livereactor.runtime.authoring.tracks", "wait_for"),
}


def __getattr__(name: str) -> Any:
    """Load a name's module at its first use (PEP 562): importing livereactor costs nothing that is not used."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'livereactor' has no attribute {name!r}")
    module = importlib.import_module(home[0])
    value = getattr(module, home[1]) if home[1] else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
