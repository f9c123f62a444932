"""The Workers whose outbound sockets this replica holds: frames to them, and local-mode requests with their replies.

Loop only. `routes/workers.py` accepts the sockets and feeds what they say to `Service`.
"""

from __future__ import annotations

from livereactor.protocol import link


class Links:
    """Sockets by Worker; the newest of a Worker wins."""

    def is_here(self, worker: str) -> bool:
        """Its socket is open."""
        raise NotImplementedError

    def tell(self, worker: str, frame: link.FromCoordinator) -> bool:
        """Send without waiting; False where its socket is not here. What cannot be sent in time closes the socket."""
        raise NotImplementedError

    async def ask(self, worker: str, request: link.Request, *, timeout: float) -> link.Reply:
        """Send a request and wait for its reply; `request.id` is given here.

        Raises:
            UnavailableError: the socket is away or went away, or there is no reply in time.
        """
        raise NotImplementedError
