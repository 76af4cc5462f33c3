"""Who is on which port: values in, values out.

Nothing in this package opens a socket, reads a clock or knows Ryu, eventlet or the policy.
"""
