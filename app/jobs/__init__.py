"""Runs in the background: the store that is the truth, the worker that trains, the executor that keeps one alive."""
