"""An empty Flask app: what gunicorn and Flask take by themselves."""

from __future__ import annotations

from flask import Flask

app = Flask(__name__)


@app.get("/status")
def status() -> dict[str, str]:
    """Return what a server that would take a prompt says."""
    return {"status": "stable"}
