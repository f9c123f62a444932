"""Looks at what waits in libwebrtc's pacer, ten times a second while something may: the shell of `Backlog`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import reactor_webrtc as rw

from livereactor.engine.libwebrtc.video import LibwebrtcVideoOutput

INTERVAL: Final = 0.1  # seconds


class PacerWatch:
    """One Peer's, on the loop.

    Args:
        report: asks for the peer connection's statistics; None once it is closed.
        outputs: its video outputs by mid.
    """

    def __init__(
        self,
        report: Callable[[], Awaitable[rw.StatsReport] | None],
        outputs: Callable[[], Mapping[str, LibwebrtcVideoOutput]],
    ) -> None:
        self._report, self._outputs = report, outputs
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Something may wait; looks until nothing does. To be called as often as one likes."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._look(), name="livereactor pacer watch")

    def end(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    async def _look(self) -> None:
        wanted = True
        while wanted and (asked := self._report()) is not None:
            report = await asked
            outputs = self._outputs()
            answers = [
                output.sample(sent.packets_sent, sent.total_packet_send_delay_s)
                for sent in report.outbound_rtp
                if (output := outputs.get(sent.mid or "")) is not None
            ]
            wanted = any(answers)
            await asyncio.sleep(INTERVAL)
        self._task = None
