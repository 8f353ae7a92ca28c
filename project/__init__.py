"""The site that uses the app for real: wiring only."""
