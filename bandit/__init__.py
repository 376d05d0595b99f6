"""What is this offer worth to this customer, and how sure are we?"""
