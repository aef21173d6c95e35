"""How clips are stored: containers, index, packed files."""
