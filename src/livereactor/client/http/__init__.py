"""The client's HTTP requests to runtimes and coordinators."""
