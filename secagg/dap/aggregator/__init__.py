"""Leader and Helper: no sockets and no clock in here, but a store."""
