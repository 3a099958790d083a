"""The library: the kept Song Maps, and the index that finds them."""
