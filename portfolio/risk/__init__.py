"""What is the best plan when the total may not be too uncertain?"""
