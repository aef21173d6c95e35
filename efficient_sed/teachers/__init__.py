"""What can produce frame logits for distillation, one teacher a file. Stored logits are read by `efficient_sed.data.pseudo_labels`."""
