"""Dead letters: what a group has given up on, and the way back."""
