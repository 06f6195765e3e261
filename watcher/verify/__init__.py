"""Is the bucket sound by itself? For auditors: no cluster is asked, nothing is written."""
