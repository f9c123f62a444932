"""Bytes kept outside the process: uploads, later segments and clips, behind `port.py`."""
