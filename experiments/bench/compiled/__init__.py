"""Programs that are compiled and not run: what their text says they will do."""
