"""The live flow: what informers tell goes through intake, debounce and writer into the bucket."""
