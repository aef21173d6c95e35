"""What a model costs: multiply-accumulates, parameters, speed, memory and energy."""
