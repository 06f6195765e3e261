"""May a file be deleted that nobody was told of? Questions, the breaker, holds, decisions."""
