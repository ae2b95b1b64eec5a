"""What a model's entry means: networks, their weights."""
