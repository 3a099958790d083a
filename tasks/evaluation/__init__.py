"""The scoreboard: annotated songs, the field's metrics, off-the-shelf baselines, reports. Nothing here runs in an analysis."""
