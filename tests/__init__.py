"""All tests. They mirror `bridge/`, and each folder says what it needs."""
