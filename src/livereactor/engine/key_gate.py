"""A gate for encoded frames of one viewer: none before a key frame, none after a loss until the next. Pure, no lock."""

from __future__ import annotations

from livereactor.media.frames import EncodedFrame, VideoCodec


class KeyGate:
    """Lets Frames through as long as each can be decoded after the one before."""

    def __init__(self) -> None:
        self._last = 0  # number of the last Frame let through; 0 = only a key Frame may go
        self._shape: tuple[VideoCodec, int, int] | None = None  # of that Frame: another one is another encoder's
        self._asked = False  # the wish for a key Frame was taken and no key Frame has come since
        self._wish = False

    def admit(self, frame: EncodedFrame, *, room: bool) -> bool:
        """Whether this Frame may go; a refusal may leave a wish.

        Args:
            frame: the next of its encoder.
            room: there is space for one more; a key Frame needs none, for it makes those waiting worthless.
        """
        shape = (frame.codec, frame.width, frame.height)
        follows = self._last != 0 and frame.number == self._last + 1 and shape == self._shape
        if frame.key or (room and follows):
            self._last, self._shape, self._asked = frame.number, shape, False
            return True
        self._last = 0
        self.want_key()
        return False

    def restart(self) -> None:
        """The viewer starts from nothing."""
        self._last = 0

    def want_key(self) -> None:
        """The viewer cannot go on; asked for again only after a key Frame has gone."""
        self._wish = self._wish or not self._asked

    def take_key_request(self) -> bool:
        """Whether a key Frame is to be asked for now; True once per wish."""
        wish, self._wish = self._wish, False
        self._asked = self._asked or wish
        return wish
