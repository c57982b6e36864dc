"""Results of the protocol crossed: what of the errors is whose, and which grounds fool most."""
