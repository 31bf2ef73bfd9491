"""Configuration in Python: the adapters, and a dispatcher in one call."""
