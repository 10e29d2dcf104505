"""Tests of the readers of Kiro's three stores."""
