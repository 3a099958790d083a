"""Chords as names and as spans of a song: their labels, the spelling of notes, and the chords that were heard set on beats and in a key."""
