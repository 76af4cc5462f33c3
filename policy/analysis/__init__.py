"""Exact answers about a whole policy: all VMs, all addresses, all services. Values in, values out, nothing sampled."""
