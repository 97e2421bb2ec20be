"""Measurements: never part of the tests, each one command."""
