"""The messages of the HTTP API. Times are RFC 3339 in UTC, durations seconds, shares and progress 0 to 1."""
