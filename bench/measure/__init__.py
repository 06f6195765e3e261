"""What is measured of `watcher`, beside what, and against which floors."""
