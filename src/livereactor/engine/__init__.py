"""WebRTC behind one interface: `port.py` declares it, and each engine implements it."""
