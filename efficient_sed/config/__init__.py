"""The options of a run: dataclasses that check their own values, and what each option means."""
