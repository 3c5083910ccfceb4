"""One module per behaviour of customers and associates."""
