"""Settings of a study and of the workflow: frozen, strict models with the unit in the key."""
