"""What a widget of a notebook leaves behind; what it shows is in tests/e2e/integrations."""

from collections.abc import Callable
from typing import Any

import pytest

from livereactor import SyncReactor
from livereactor.client._sync.generated.reactor import SyncTrack
from livereactor.integrations.notebook import ReactorWidget


def test_a_widget_that_is_taken_off_the_page_takes_no_frames_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers: list[tuple[str, Callable[..., Any]]] = []
    monkeypatch.setattr(SyncTrack, "on_frame", lambda track, handler: handlers.append((track.name, handler)))
    monkeypatch.setattr(SyncTrack, "off_frame", lambda track, handler: handlers.remove((track.name, handler)))
    widget = ReactorWidget(SyncReactor("pond", local=True))
    assert [track for track, _ in handlers] == ["main_video"]
    widget.close()
    assert handlers == []
