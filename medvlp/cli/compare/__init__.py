"""`medvlp compare`: several methods under one budget with several seeds, on the same held-out patients."""
