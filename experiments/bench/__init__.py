"""How fast everything is, on one device, beside its peers and beside the machine itself."""
