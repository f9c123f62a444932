"""The common parts of all HTTP servers: the guard before the routes, error answers, origins and addresses."""
