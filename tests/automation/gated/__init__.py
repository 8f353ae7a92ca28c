"""An app with a job type whose jobs stand before a gate until a test opens it."""
