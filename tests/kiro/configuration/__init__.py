"""Tests of finding, probing and running kiro-cli."""
