"""One module a format; ``registry.FORMATS`` lists them in the order in which they are asked."""
