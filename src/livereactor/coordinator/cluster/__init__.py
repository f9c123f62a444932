"""Several coordinators on one database, and the sockets of their workers."""
