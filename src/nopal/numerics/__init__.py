"""Array mathematics that several rooms need."""
