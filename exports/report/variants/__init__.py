"""Charts of what every table of results has: accuracies by variant, differences, classes."""
