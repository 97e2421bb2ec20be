"""One thin file per page; no logic."""
