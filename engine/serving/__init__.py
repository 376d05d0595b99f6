"""What does this one customer get now?"""
