"""A whole experiment from one plan: data, several models, their evaluations, one page. `medvlp demo` is such a plan."""
