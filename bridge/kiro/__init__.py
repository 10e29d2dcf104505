"""All that is known of kiro-cli: where it is, how it is run, what it prints and what it records."""
