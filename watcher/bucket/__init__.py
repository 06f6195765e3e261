"""The only room that talks to storage, and all that is stored under `_meta/` (FORMAT.md)."""
