"""The decisions of the coordinator in virtual time, with more sessions than we have machines for."""
