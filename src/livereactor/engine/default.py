"""The Engine to use when none is given. Adapters are imported when called: a client that never connects loads none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from livereactor.base.errors import EngineError

if TYPE_CHECKING:
    from livereactor.engine.port import Engine


def make_engine(name: str = "auto") -> Engine:
    """The process's Engine.

    Args:
        name: `auto` (libwebrtc, else aiortc), `libwebrtc` or `aiortc`.

    Raises:
        EngineError: the engine is not installed here; the message says how to install it.
    """
    if name in ("auto", "libwebrtc"):
        try:
            from livereactor.engine.libwebrtc.engine import LibwebrtcEngine

            return LibwebrtcEngine()
        except ImportError as error:
            if name == "libwebrtc":
                raise EngineError(
                    f"the libwebrtc engine cannot be loaded ({error}); pip install reactor-webrtc"
                ) from error
    try:
        from livereactor.engine.aiortc.engine import AiortcEngine
    except ImportError as error:
        raise EngineError(f"no WebRTC engine can be loaded ({error}); pip install 'livereactor[aiortc]'") from error
    return AiortcEngine()
