"""What is the best plan when a customer may get several offers?"""
