"""The coordinator: who may do what, which Session has which Worker, who waits, and the way from client to Worker."""
