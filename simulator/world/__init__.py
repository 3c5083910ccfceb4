"""The world customers live in: one module per behaviour, composed day by day in `simulator.world.day`."""
