"""The candidate explorer."""
