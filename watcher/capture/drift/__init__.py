"""Cluster and bucket held against each other: reads both sides, compares, looks again."""
