"""What stands beside a figure of `watcher`, in the same run and on the same bytes."""
