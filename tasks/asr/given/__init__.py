"""The words of a song as somebody wrote them down: read (`text`), found in what was heard (`matching`), and placed in time (`align`)."""
