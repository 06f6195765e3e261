"""What `watcher` is put through: a module a scenario, each a real process seen from outside."""
