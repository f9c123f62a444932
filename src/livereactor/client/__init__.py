"""The client: open a Session with a model, steer it, receive and send media. `Reactor` and the parts it is made of."""
