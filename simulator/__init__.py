"""The world customers live in: behaviour models to train and compare policies against."""
