"""Tests of the stand-in kiro-cli, each by running it."""
