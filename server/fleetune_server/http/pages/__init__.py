"""Pages that the server writes: readable without JavaScript, in the visitor's language."""
