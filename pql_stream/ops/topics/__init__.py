"""Topics as code: the declarations in `topics/`, the cluster's topics, the difference between them."""
