"""The client without an event loop: threads and support written by hand, the classes generated from the async ones."""
