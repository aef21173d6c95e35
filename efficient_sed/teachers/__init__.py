"""Teachers: what gives frame logits for distillation, one kind a file. `stored` reads them, `model` computes them.

A new kind is one file with a class registered in TEACHERS; `contract.py` says what it must do.
"""
