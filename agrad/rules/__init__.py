"""The rule book: every primitive with its backward rules, one module per category of the standard.

A rule is plain Array API code over the namespace `xp` that it is handed. It imports no array library, knows no Tensor,
and undoes no broadcasting. How a rule says what the graph keeps for it is described at `agrad._graph.Primitive`.
Cotangents are plain transposes: a holomorphic rule needs no conjugate.
"""
