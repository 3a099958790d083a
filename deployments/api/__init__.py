"""The HTTP API: jobs, songs, files, live progress. It keeps no state of its own: see the README of this room."""
