"""How fast agrad is, next to hand-written NumPy and to its peers: `python -m benchmarks list` says what there is."""
