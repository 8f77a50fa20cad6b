"""One module for each manifest format."""
