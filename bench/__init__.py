"""Benchmarks: each compares with a named baseline in the same run, prints a table, and ends with one JSON line."""
