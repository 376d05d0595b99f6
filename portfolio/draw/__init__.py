"""Which whole plan honours every probability and every limit? The balanced draw."""
