"""What is the best plan for many customers, one offer each, and how far from the optimum can it be?"""
