"""The web side: metrics, health, the API and the status page."""
