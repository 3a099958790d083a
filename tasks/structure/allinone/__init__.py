"""The engine All-In-One: beats, downbeats, section boundaries and functions from the four stems, by neighbourhood attention."""
