"""Where generated codes come from."""
