"""HTTP: health, metrics and the status page."""
