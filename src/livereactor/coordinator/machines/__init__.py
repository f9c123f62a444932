"""The coordinator's state machines. Pure: no clock, no IO."""
