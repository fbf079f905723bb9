"""The real client code driven without browsers."""
