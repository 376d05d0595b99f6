"""Which limits cannot hold together, and what would make them?"""
