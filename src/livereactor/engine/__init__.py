"""WebRTC behind one seam: `port.py` says what an engine must do, one file per engine does it."""
