"""How far people agree: masks and attributes of photos that several answered, and each annotator's own figures."""
