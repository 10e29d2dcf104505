"""Tests of bridge.kiro."""
