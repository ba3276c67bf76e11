"""Writes into the READMEs and the documentation what is generated."""
