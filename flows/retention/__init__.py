"""Retention: what nobody has used for some days goes."""
