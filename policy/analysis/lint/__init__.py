"""Lint: what a policy says that is probably not meant. One file for each kind of finding; the codes are in `codes`."""
