"""What runs exported models on a CPU, without PyTorch. An engine is one file in this folder."""
