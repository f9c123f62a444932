"""What a client says over HTTP and over a Peer's data channels."""
