"""Scripts around the project; none of them is shipped."""
