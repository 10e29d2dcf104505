"""Checks against recordings of the real program."""
