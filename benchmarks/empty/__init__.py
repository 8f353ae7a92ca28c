"""An app with what does nothing, to be timed."""
