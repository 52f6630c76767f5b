"""What a predictor answers: health, progress, metrics, and inference by V1 and V2. Decode, infer, encode."""
