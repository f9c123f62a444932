"""The client's WebRTC transport: peer, data channels, tracks and signalling."""
