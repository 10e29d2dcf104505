"""Random input: to the whole bridge over HTTP, and to each parser of what comes from outside."""
