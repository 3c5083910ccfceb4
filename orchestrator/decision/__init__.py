"""The decision core: who belongs to which group, what is chosen, and with which probability."""
