"""Keeps a cleaned YAML backup of every object of a Kubernetes cluster in a bucket."""
