"""What can produce frame logits for distillation, one kind a file: `stored` reads them, `model` computes them. See `contract.py` for what a kind must do."""
