"""How long a Ticket waits, from how long Sessions take, and how wrong that was. Pure."""
