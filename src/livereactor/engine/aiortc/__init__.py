"""The engine port on aiortc, in pure Python."""
