"""Pages of the admin that show numbers: what they have in common, and the page of the metrics."""
