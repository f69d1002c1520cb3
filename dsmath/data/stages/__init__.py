"""The stages between published rows and prepared examples, each from file to file."""
