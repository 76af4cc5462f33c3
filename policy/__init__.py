"""What is allowed: values in, values out.

The loader and the command line may read files; nothing else in this package touches the world, and nothing in it knows
Ryu or eventlet.
"""
