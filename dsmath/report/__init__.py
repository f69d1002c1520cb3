"""Reports: tables of what has been scored. Needs no device and imports no jax."""
