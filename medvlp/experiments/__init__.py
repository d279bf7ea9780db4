"""Several runs as one: the demo, comparisons of methods, and the plans that both follow."""
