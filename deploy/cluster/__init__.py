"""The chart on a real Kubernetes of two nodes, under load: ``make check-cluster``."""
