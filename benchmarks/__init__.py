"""The measurements behind every speed claim of the book: `make bench`, or `python -m benchmarks`."""
