"""What a widget of a notebook leaves behind; what it shows is in tests/e2e/integrations."""

from livereactor import SyncReactor
from livereactor.integrations.notebook import ReactorWidget


def test_a_widget_that_is_taken_off_the_page_takes_no_frames_any_more() -> None:
    reactor = SyncReactor("pond", local=True)
    widget = ReactorWidget(reactor)
    receiver = reactor._reactor.track("main_video")._receiver
    assert len(receiver._handlers) == 1
    widget.close()
    assert receiver._handlers == ()
