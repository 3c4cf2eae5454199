"""What an image is made of: its bytes by instruction and stage, what is wasted, and what need not ship."""
