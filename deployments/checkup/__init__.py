"""`performia doctor`: what it looks at, on this machine and at the server."""
