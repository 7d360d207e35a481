"""The public functions of the standard, one module per category: signature, docstring, argument checks.

What they compute, and how it is differentiated, is in `agrad.rules`.
"""
