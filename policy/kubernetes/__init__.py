"""Kubernetes' objects as a policy of ours: Pods become VMs, the kinds of network policies become tiers of rules.

The one promise: what comes out means what the cluster meant, and whatever could not be carried over is named. docs/
kubernetes.md tells what becomes of what.
"""
