"""What runs the work: children, clock, retry, events."""
