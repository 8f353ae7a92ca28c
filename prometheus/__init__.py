"""The rules for Prometheus, as data; ``make rules`` writes the files that Prometheus reads."""
