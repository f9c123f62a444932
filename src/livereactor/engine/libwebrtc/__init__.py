"""The engine port on libwebrtc, through the reactor-webrtc package."""
