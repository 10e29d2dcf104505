"""The bridge driven by the Go SDK that Coder itself uses."""
