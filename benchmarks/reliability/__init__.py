"""What happens when things go wrong, counted: each script breaks things at random, checks what is left and prints one table."""
