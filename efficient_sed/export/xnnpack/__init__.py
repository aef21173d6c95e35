"""Models as graphs that XNNPACK, a library of fast operations for small machines, computes in one piece."""
